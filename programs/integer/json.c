/* A JSON tokenizer and validator (RFC 8259): a token at a time, and recursive descent over the tokens. */

static const char *const documents[] = {
    /* 0 */ "{\"name\": \"Ada\", \"born\": 1815, \"tags\": [\"math\", \"poetry\"], \"alive\": false, \"heirs\": null}",
    /* 1 */ "[0, -1, 2.5, 1e10, -0.5E-3, [], {}, [[[\"deep\"]]], \"\\u00e9\\n\\\\\", true]",
    /* 2 */ "{\"a\": [1, 2, }",
    /* 3 */ "[01]",
    /* 4 */ "\"unterminated",
    /* 5 */ "  42  ",
    /* 6 */ "{\"menu\": {\"id\": \"file\", \"items\": [{\"new\": true}, {\"open\": \"open()\"}, {\"quit\": -7.25e+3}]}}",
    /* 7 */ "[1] 2",
};

enum token { END, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET, COLON, COMMA, STRING, NUMBER, TRUE, FALSE, NIL,
             BAD, TOKEN_KINDS };

enum { MAX_DEPTH = 32 };

static const char *text, *at;
static enum token token;
static int counts[TOKEN_KINDS], deepest;

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static enum token string_token(void)
{
    for (at++; *at != '"'; at++) {
        if ((unsigned char)*at < ' ')
            return BAD;  /* a control character, or the end of the text */
        if (*at != '\\')
            continue;
        switch (*++at) {
        case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
            break;
        case 'u':
            for (int i = 0; i < 4; i++)
                if (!is_hex(*++at))
                    return BAD;
            break;
        default:
            return BAD;
        }
    }
    at++;
    return STRING;
}

static int digits(void)
{
    if (!is_digit(*at))
        return 0;
    while (is_digit(*at))
        at++;
    return 1;
}

static enum token number_token(void)
{
    if (*at == '-')
        at++;
    if (*at == '0')
        at++;
    else if (!digits())
        return BAD;
    if (*at == '.' && (at++, !digits()))
        return BAD;
    if (*at == 'e' || *at == 'E') {
        at++;
        if (*at == '+' || *at == '-')
            at++;
        if (!digits())
            return BAD;
    }
    return NUMBER;
}

static enum token word_token(const char *word, enum token kind)
{
    for (; *word; word++, at++)
        if (*at != *word)
            return BAD;
    return kind;
}

static enum token next_token(void)
{
    while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')
        at++;
    switch (*at) {
    case '\0': return END;
    case '{': at++; return OPEN_BRACE;
    case '}': at++; return CLOSE_BRACE;
    case '[': at++; return OPEN_BRACKET;
    case ']': at++; return CLOSE_BRACKET;
    case ':': at++; return COLON;
    case ',': at++; return COMMA;
    case '"': return string_token();
    case 't': return word_token("true", TRUE);
    case 'f': return word_token("false", FALSE);
    case 'n': return word_token("null", NIL);
    default: return *at == '-' || is_digit(*at) ? number_token() : BAD;
    }
}

static void advance(void)
{
    token = next_token();
    counts[token]++;
}

static int expect(enum token kind)
{
    if (token != kind)
        return 0;
    advance();
    return 1;
}

static int value(int depth);

static int member(int depth)
{
    return expect(STRING) && expect(COLON) && value(depth);
}

static int items(enum token close, int (*item)(int), int depth)
{
    if (depth > deepest)
        deepest = depth;
    if (depth > MAX_DEPTH)
        return 0;
    advance();
    if (expect(close))
        return 1;
    do {
        if (!item(depth))
            return 0;
    } while (expect(COMMA));
    return expect(close);
}

static int value(int depth)
{
    switch (token) {
    case OPEN_BRACE:
        return items(CLOSE_BRACE, member, depth + 1);
    case OPEN_BRACKET:
        return items(CLOSE_BRACKET, value, depth + 1);
    case STRING: case NUMBER: case TRUE: case FALSE: case NIL:
        advance();
        return 1;
    default:
        return 0;
    }
}

/* The number of tokens of document k, or -(1 + the place where reading stopped) if it is no JSON. */
int validate(int k)
{
    int total = 0;
    text = at = documents[k];
    deepest = 0;
    for (int i = 0; i < TOKEN_KINDS; i++)
        counts[i] = 0;
    advance();
    if (!value(0) || token != END)
        return -1 - (int)(at - text);
    for (int i = OPEN_BRACE; i < BAD; i++)
        total += counts[i];
    return total;
}

/* After validate(): how many tokens of a kind were read. */
int count(int kind)
{
    return counts[kind];
}

int depth(void)
{
    return deepest;
}
