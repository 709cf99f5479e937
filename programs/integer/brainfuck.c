/* A Brainfuck interpreter: 256 byte cells that wrap, matching brackets found once before the start. */

#include <stdint.h>

struct program {
    const char *code;
    const char *input;
};

static const struct program programs[] = {
    /* 0: Hello, World! */
    {"++++++++[>+++++++++>+++++++++++++>++++>+++++++++++>+<<<<<-]>.>---.+++++++..+++.>++++++++++++.------------.>-."
     "<<.+++.------.--------.>+.>>++.",
     ""},
    /* 1: the squares up to 100; each square is the one before plus an odd number, printed by two divisions by ten */
    {"+++++++++++>+<[>>[->+>+<<]>[-<+>]>>++++++++++<[->-[>+>>]>[+[-<+>]>+>>]<<<<<]>[-]>>>++++++++++<[->-[>+>>]>[+[-<+>"
     "]>+>>]<<<<<]>[-]>>[>>+<<[->+<]>++++++++++++++++++++++++++++++++++++++++++++++++.[-]<]<[->>+>>+<<<<]>>>>[[-]<+>]<["
     "[-]<++++++++++++++++++++++++++++++++++++++++++++++++.------------------------------------------------>]<[-]<<<<<+"
     "+++++++++++++++++++++++++++++++++++++++++++++++.[-]++++++++++.[-]<<<<<[->+>+<<]>>[-<<+>>]<<++<-]",
     ""},
    /* 2: the input backwards */
    {">,[>,]<[.<]", "stressed"},
    /* 3: no matching bracket */
    {"+[>+", ""},
};

enum { CELLS = 256, MAX_CODE = 1024, MAX_OUTPUT = 256 };
static unsigned char cells[CELLS], output[MAX_OUTPUT];
static uint16_t match[MAX_CODE];
static int output_length;
static uint64_t executed;

static int find_brackets(const char *code)
{
    uint16_t open[64];
    int depth = 0;
    for (int i = 0; code[i]; i++) {
        if (code[i] == '[') {
            if (depth == 64)
                return 0;
            open[depth++] = i;
        } else if (code[i] == ']') {
            if (depth == 0)
                return 0;
            depth--;
            match[i] = open[depth];
            match[open[depth]] = i;
        }
    }
    return depth == 0;
}

/* Runs program k; returns the length of its output, or -1 if its brackets do not match. */
int run(int k)
{
    const char *code = programs[k].code, *input = programs[k].input;
    unsigned char cell = 0;
    output_length = 0;
    executed = 0;
    if (!find_brackets(code))
        return -1;
    for (int i = 0; i < CELLS; i++)
        cells[i] = 0;
    for (int i = 0; code[i]; i++, executed++) {
        switch (code[i]) {
        case '>':
            cell++;
            break;
        case '<':
            cell--;
            break;
        case '+':
            cells[cell]++;
            break;
        case '-':
            cells[cell]--;
            break;
        case '.':
            if (output_length < MAX_OUTPUT)
                output[output_length++] = cells[cell];
            break;
        case ',':
            cells[cell] = *input ? *input++ : 0;
            break;
        case '[':
            if (!cells[cell])
                i = match[i];
            break;
        case ']':
            if (cells[cell])
                i = match[i];
            break;
        }
    }
    return output_length;
}

/* After run(): how many instructions the program executed. */
int64_t steps(void)
{
    return executed;
}

int byte(int i)
{
    return output[i];
}

/* 64-bit FNV-1a of the output. */
uint64_t hash(void)
{
    uint64_t value = 0xcbf29ce484222325;
    for (int i = 0; i < output_length; i++)
        value = (value ^ output[i]) * 0x100000001b3;
    return value;
}
