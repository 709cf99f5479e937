/* An expression calculator: reads lines, parses them by recursive descent into a tree, and evaluates that.
 *
 *     line    = [name "="] or-expression
 *     or      = xor {"|" xor}        xor  = and {"^" and}       and   = shift {"&" shift}
 *     shift   = sum {("<<"|">>") sum}    sum = product {("+"|"-") product}
 *     product = unary {("*"|"/"|"%") unary}     unary = ("-"|"~"|"!") unary | power
 *     power   = primary ["**" unary]     primary = number | name | name "(" args ")" | "(" or ")"
 *
 * Numbers are 64-bit, decimal, hexadecimal (0x) or binary (0b).
 */

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_NODES 64
#define MAX_VARIABLES 16
#define MAX_NAME 12

typedef int64_t number;

enum kind { NUMBER, VARIABLE, UNARY, BINARY, CALL };

struct node {
    enum kind kind;
    int op;
    number value;
    int variable;
    struct node *left, *right;
    number (*function)(number, number);
};

static struct node nodes[MAX_NODES];
static int node_count;

static struct {
    char name[MAX_NAME];
    number value;
} variables[MAX_VARIABLES];
static int variable_count;

static const char *text, *position;
static const char *error;

/* scanning */

static void fail(const char *message)
{
    if (!error)
        error = message;
}

static int peek(void)
{
    while (*position == ' ' || *position == '\t')
        position++;
    return (unsigned char)*position;
}

static int accept(const char *symbol)
{
    size_t length = strlen(symbol);
    peek();
    if (strncmp(position, symbol, length) != 0)
        return 0;
    /* "*" must not take the first half of "**" */
    if (length == 1 && symbol[0] == '*' && position[1] == '*')
        return 0;
    position += length;
    return 1;
}

static int read_name(char *name)
{
    int length = 0;
    if (!isalpha(peek()))
        return 0;
    while (isalnum((unsigned char)*position) || *position == '_') {
        if (length < MAX_NAME - 1)
            name[length++] = *position;
        position++;
    }
    name[length] = '\0';
    return 1;
}

static int digit_value(int c)
{
    if (isdigit(c))
        return c - '0';
    if (isalpha(c))
        return tolower(c) - 'a' + 10;
    return 99;
}

static number read_number(void)
{
    int base = 10;
    uint64_t value = 0;
    if (position[0] == '0' && (position[1] == 'x' || position[1] == 'b')) {
        base = position[1] == 'x' ? 16 : 2;
        position += 2;
        if (digit_value((unsigned char)*position) >= base)
            fail("digits expected");
    }
    while (digit_value((unsigned char)*position) < base)
        value = value * base + digit_value((unsigned char)*position++);
    if (isalnum((unsigned char)*position))
        fail("bad digit");
    return (number)value;
}

/* functions */

static number absolute(number a, number b)
{
    (void)b;
    return a < 0 ? -a : a;
}

static number smaller(number a, number b)
{
    return a < b ? a : b;
}

static number larger(number a, number b)
{
    return a > b ? a : b;
}

static number gcd(number a, number b)
{
    while (b) {
        number rest = a % b;
        a = b;
        b = rest;
    }
    return a < 0 ? -a : a;
}

static number square_root(number a, number b)
{
    number root = 0;
    (void)b;
    if (a < 0) {
        fail("root of a negative number");
        return 0;
    }
    for (number bit = (number)1 << 31; bit; bit >>= 1)
        if ((uint64_t)(root | bit) * (uint64_t)(root | bit) <= (uint64_t)a)
            root |= bit;
    return root;
}

static const struct {
    const char *name;
    int arguments;
    number (*function)(number, number);
} functions[] = {
    {"abs", 1, absolute}, {"min", 2, smaller}, {"max", 2, larger}, {"gcd", 2, gcd}, {"sqrt", 1, square_root},
};

/* parsing */

static struct node *new_node(enum kind kind, int op, struct node *left, struct node *right)
{
    if (node_count == MAX_NODES) {
        fail("expression too long");
        return nodes;
    }
    struct node *n = &nodes[node_count++];
    memset(n, 0, sizeof *n);
    n->kind = kind;
    n->op = op;
    n->left = left;
    n->right = right;
    return n;
}

static int find_variable(const char *name)
{
    for (int i = 0; i < variable_count; i++)
        if (strcmp(variables[i].name, name) == 0)
            return i;
    return -1;
}

static struct node *expression(int level);
static struct node *unary(void);

static struct node *call(const char *name)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (strcmp(functions[i].name, name) != 0)
            continue;
        struct node *n = new_node(CALL, 0, expression(0), NULL);
        n->function = functions[i].function;
        if (functions[i].arguments == 2) {
            if (!accept(","))
                fail("',' expected");
            n->right = expression(0);
        }
        if (!accept(")"))
            fail("')' expected");
        return n;
    }
    fail("unknown function");
    return nodes;
}

static struct node *primary(void)
{
    char name[MAX_NAME];
    struct node *n;
    if (isdigit(peek())) {
        n = new_node(NUMBER, 0, NULL, NULL);
        n->value = read_number();
        return n;
    }
    if (accept("(")) {
        n = expression(0);
        if (!accept(")"))
            fail("')' expected");
        return n;
    }
    if (!read_name(name)) {
        fail("operand expected");
        return nodes;
    }
    if (accept("("))
        return call(name);
    n = new_node(VARIABLE, 0, NULL, NULL);
    n->variable = find_variable(name);
    if (n->variable < 0)
        fail("unknown variable");
    return n;
}

static struct node *power(void)
{
    struct node *base = primary();
    if (accept("**"))
        return new_node(BINARY, 'p', base, unary());
    return base;
}

static struct node *unary(void)
{
    static const char operators[] = "-~!";
    int c = peek();
    if (c && strchr(operators, c)) {
        position++;
        return new_node(UNARY, c, unary(), NULL);
    }
    return power();
}

/* Binary operators by level, loosest first; the letters l and r stand for << and >>. */
static const char *const levels[][4] = {
    {"|", NULL}, {"^", NULL}, {"&", NULL}, {"<<", ">>", NULL}, {"+", "-", NULL}, {"*", "/", "%", NULL},
};
#define LEVELS ((int)(sizeof levels / sizeof levels[0]))

static struct node *expression(int level)
{
    if (level == LEVELS)
        return unary();
    struct node *left = expression(level + 1);
    for (int again = 1; again && !error;) {
        again = 0;
        for (int i = 0; levels[level][i]; i++) {
            const char *symbol = levels[level][i];
            if (accept(symbol)) {
                int op = strcmp(symbol, "<<") == 0 ? 'l' : strcmp(symbol, ">>") == 0 ? 'r' : symbol[0];
                left = new_node(BINARY, op, left, expression(level + 1));
                again = 1;
                break;
            }
        }
    }
    return left;
}

/* evaluation */

static number integer_power(number base, number exponent)
{
    uint64_t result = 1, square = (uint64_t)base;
    if (exponent < 0) {
        fail("negative exponent");
        return 0;
    }
    for (; exponent; exponent >>= 1) {
        if (exponent & 1)
            result *= square;
        square *= square;
    }
    return (number)result;
}

static number evaluate(const struct node *n)
{
    if (error)
        return 0;
    number a = n->left ? evaluate(n->left) : 0;
    number b = n->right ? evaluate(n->right) : 0;
    switch (n->kind) {
    case NUMBER:
        return n->value;
    case VARIABLE:
        return variables[n->variable].value;
    case CALL:
        return n->function(a, b);
    case UNARY:
        return n->op == '-' ? (number)-(uint64_t)a : n->op == '~' ? ~a : !a;
    case BINARY:
        break;
    }
    switch (n->op) {
    case '|': return a | b;
    case '^': return a ^ b;
    case '&': return a & b;
    case 'l': return (number)((uint64_t)a << (b & 63));
    case 'r': return a >> (b & 63);
    case '+': return (number)((uint64_t)a + (uint64_t)b);
    case '-': return (number)((uint64_t)a - (uint64_t)b);
    case '*': return (number)((uint64_t)a * (uint64_t)b);
    case 'p': return integer_power(a, b);
    }
    if (b == 0) {
        fail("division by zero");
        return 0;
    }
    return n->op == '/' ? a / b : a % b;
}

static void assign(const char *name, number value)
{
    int i = find_variable(name);
    if (i < 0) {
        if (variable_count == MAX_VARIABLES) {
            fail("too many variables");
            return;
        }
        i = variable_count++;
        strcpy(variables[i].name, name);
    }
    variables[i].value = value;
}

static void process(const char *line)
{
    char name[MAX_NAME];
    int assignment = 0;
    text = position = line;
    error = NULL;
    node_count = 0;
    if (read_name(name) && accept("="))
        assignment = 1;
    else
        position = line;

    struct node *tree = expression(0);
    if (!error && peek())
        fail("end of line expected");
    number value = error ? 0 : evaluate(tree);
    if (!error && assignment)
        assign(name, value);
    if (error)
        printf("error at %d: %s\n", (int)(position - text) + 1, error);
    else if (assignment)
        printf("%s = %" PRId64 "\n", name, value);
    else
        printf("%" PRId64 " (0x%" PRIx64 ")\n", value, (uint64_t)value);
}

int main(void)
{
    char line[128];
    int failures = 0;
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '\0' || line[0] == '#')
            continue;
        process(line);
        failures += error != NULL;
    }
    return failures;
}
