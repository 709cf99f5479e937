/* A tiny language: tokenizer, one-pass compiler to bytecode, and a stack machine that runs it.
 *
 *     program   = {statement}
 *     statement = "let" name "=" expr ";" | name "=" expr ";" | "print" expr ";"
 *               | "while" expr block | "if" expr block ["else" block]
 *     block     = "{" {statement} "}"
 *     expr      = sum [("<"|"=="|">") sum]
 *     sum       = term {("+"|"-") term}      term = factor {("*"|"/"|"%") factor}
 *     factor    = number | name | "(" expr ")" | "-" factor
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum { T_END, T_NUMBER, T_NAME, T_KEYWORD, T_SYMBOL } TokenKind;

typedef struct {
    TokenKind kind;
    char text[16];
    long value;
    int line;
} Token;

typedef enum {
    OP_PUSH, OP_LOAD, OP_STORE, OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MOD, OP_NEG, OP_LESS, OP_EQUAL, OP_GREATER, OP_JUMP,
    OP_JUMP_IF_ZERO, OP_PRINT, OP_HALT
} Opcode;

static const char *const op_names[] = {
    "push", "load", "store", "add", "sub", "mul", "div", "mod", "neg", "less", "equal", "greater", "jump",
    "jump_if_zero", "print", "halt",
};

typedef struct {
    Opcode op;
    long operand;
} Instruction;

#define MAX_CODE 200
#define MAX_NAMES 20
#define MAX_STACK 50

static const char *source;
static int line = 1;
static Token token;
static Instruction code[MAX_CODE];
static int code_size;
static char names[MAX_NAMES][16];
static int name_count;

static void error(const char *message)
{
    printf("line %d: %s near '%s'\n", token.line, message, token.text);
    exit(2);
}

/* tokenizer */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void next_token(void)
{
    static const char *const keywords[] = {"let", "print", "while", "if", "else"};
    int length = 0;
    for (; *source == ' ' || *source == '\n'; source++)
        if (*source == '\n')
            line++;
    token.line = line;
    token.value = 0;
    if (*source == '\0') {
        token.kind = T_END;
    } else if (is_digit(*source)) {
        token.kind = T_NUMBER;
        for (; is_digit(*source); source++) {
            token.value = token.value * 10 + (*source - '0');
            if (length < 15)
                token.text[length++] = *source;
        }
    } else if (is_letter(*source)) {
        while (is_letter(*source) || is_digit(*source)) {
            if (length < 15)
                token.text[length++] = *source;
            source++;
        }
        token.kind = T_NAME;
    } else {
        token.kind = T_SYMBOL;
        token.text[length++] = *source++;
        if (token.text[0] == '=' && *source == '=')
            token.text[length++] = *source++;
    }
    token.text[length] = '\0';
    if (token.kind == T_NAME)
        for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
            if (strcmp(token.text, keywords[i]) == 0)
                token.kind = T_KEYWORD;
}

static bool at(const char *text)
{
    return (token.kind == T_SYMBOL || token.kind == T_KEYWORD) && strcmp(token.text, text) == 0;
}

static bool accept(const char *text)
{
    if (!at(text))
        return false;
    next_token();
    return true;
}

static void expect(const char *text)
{
    if (!accept(text))
        error("unexpected token");
}

/* compiler */

static int emit(Opcode op, long operand)
{
    if (code_size == MAX_CODE)
        error("program too long");
    code[code_size].op = op;
    code[code_size].operand = operand;
    return code_size++;
}

static int name_index(bool declare)
{
    for (int i = 0; i < name_count; i++)
        if (strcmp(names[i], token.text) == 0)
            return i;
    if (!declare || name_count == MAX_NAMES)
        error(declare ? "too many names" : "unknown name");
    strcpy(names[name_count], token.text);
    return name_count++;
}

static void expr(void);

static void factor(void)
{
    if (token.kind == T_NUMBER) {
        emit(OP_PUSH, token.value);
        next_token();
    } else if (token.kind == T_NAME) {
        emit(OP_LOAD, name_index(false));
        next_token();
    } else if (accept("-")) {
        factor();
        emit(OP_NEG, 0);
    } else {
        expect("(");
        expr();
        expect(")");
    }
}

static void term(void)
{
    factor();
    for (;;) {
        Opcode op = at("*") ? OP_MUL : at("/") ? OP_DIV : OP_MOD;
        if (!accept("*") && !accept("/") && !accept("%"))
            return;
        factor();
        emit(op, 0);
    }
}

static void sum(void)
{
    term();
    for (;;) {
        Opcode op = at("+") ? OP_ADD : OP_SUB;
        if (!accept("+") && !accept("-"))
            return;
        term();
        emit(op, 0);
    }
}

static void expr(void)
{
    sum();
    Opcode op = at("<") ? OP_LESS : at(">") ? OP_GREATER : OP_EQUAL;
    if (accept("<") || accept(">") || accept("==")) {
        sum();
        emit(op, 0);
    }
}

static void statement(void);

static void block(void)
{
    expect("{");
    while (!at("}") && token.kind != T_END)
        statement();
    expect("}");
}

static void assignment(bool declare)
{
    if (token.kind != T_NAME)
        error("name expected");
    int index = name_index(declare);
    next_token();
    expect("=");
    expr();
    emit(OP_STORE, index);
    expect(";");
}

static void statement(void)
{
    if (accept("let")) {
        assignment(true);
    } else if (accept("print")) {
        expr();
        emit(OP_PRINT, 0);
        expect(";");
    } else if (accept("while")) {
        int start = code_size;
        expr();
        int exit_jump = emit(OP_JUMP_IF_ZERO, 0);
        block();
        emit(OP_JUMP, start);
        code[exit_jump].operand = code_size;
    } else if (accept("if")) {
        expr();
        int else_jump = emit(OP_JUMP_IF_ZERO, 0);
        block();
        if (accept("else")) {
            int end_jump = emit(OP_JUMP, 0);
            code[else_jump].operand = code_size;
            block();
            code[end_jump].operand = code_size;
        } else {
            code[else_jump].operand = code_size;
        }
    } else {
        assignment(false);
    }
}

static void disassemble(void)
{
    for (int i = 0; i < code_size; i++) {
        printf("%3d  ", i);
        switch (code[i].op) {
        case OP_PUSH: case OP_JUMP: case OP_JUMP_IF_ZERO:
            printf("%-13s %ld\n", op_names[code[i].op], code[i].operand);
            break;
        case OP_LOAD: case OP_STORE:
            printf("%-13s %s\n", op_names[code[i].op], names[code[i].operand]);
            break;
        default:
            printf("%s\n", op_names[code[i].op]);
        }
    }
}

/* machine */

static unsigned run(void)
{
    long stack[MAX_STACK], variables[MAX_NAMES] = {0};
    int sp = 0, pc = 0;
    unsigned steps = 0;
    for (;; steps++) {
        Instruction in = code[pc++];
        long b;
        if (sp >= MAX_STACK - 1) {
            printf("stack overflow\n");
            exit(3);
        }
        switch (in.op) {
        case OP_PUSH: stack[sp++] = in.operand; break;
        case OP_LOAD: stack[sp++] = variables[in.operand]; break;
        case OP_STORE: variables[in.operand] = stack[--sp]; break;
        case OP_ADD: b = stack[--sp]; stack[sp - 1] += b; break;
        case OP_SUB: b = stack[--sp]; stack[sp - 1] -= b; break;
        case OP_MUL: b = stack[--sp]; stack[sp - 1] *= b; break;
        case OP_DIV:
        case OP_MOD:
            b = stack[--sp];
            if (b == 0) {
                printf("division by zero\n");
                exit(4);
            }
            stack[sp - 1] = in.op == OP_DIV ? stack[sp - 1] / b : stack[sp - 1] % b;
            break;
        case OP_NEG: stack[sp - 1] = -stack[sp - 1]; break;
        case OP_LESS: b = stack[--sp]; stack[sp - 1] = stack[sp - 1] < b; break;
        case OP_EQUAL: b = stack[--sp]; stack[sp - 1] = stack[sp - 1] == b; break;
        case OP_GREATER: b = stack[--sp]; stack[sp - 1] = stack[sp - 1] > b; break;
        case OP_JUMP: pc = in.operand; break;
        case OP_JUMP_IF_ZERO:
            if (stack[--sp] == 0)
                pc = in.operand;
            break;
        case OP_PRINT: printf("%ld\n", stack[--sp]); break;
        case OP_HALT: return steps;
        }
    }
}

int main(void)
{
    static char text[1024];
    size_t length = fread(text, 1, sizeof text - 1, stdin);
    text[length] = '\0';
    source = text;
    next_token();
    while (token.kind != T_END)
        statement();
    emit(OP_HALT, 0);
    disassemble();
    printf("%u steps\n", run());
    return 0;
}
