/* A small Forth with 64-bit cells: an outer interpreter that reads words, a compiler into threaded code, and an inner
 * interpreter that calls each word's routine through a function pointer. Output goes to a buffer. */

#include <stdint.h>

static const char *const sources[] = {
    /* 0 */ ": square dup * ; 12 square . -7 square .",
    /* 1 */ ": fib dup 1 > if dup 1 - recurse swap 2 - recurse + then ; 10 fib .",
    /* 2 */ ": factorial 1 swap 1 + 1 do i * loop ; 5 factorial . 20 factorial .",
    /* 3 */ (": prime? 2 begin over over dup * < 0= while over over mod 0= if drop drop 0 exit then 1 + repeat "
             "drop drop 1 ; : primes 2 do i prime? if i . then loop ; 40 primes"),
    /* 4 */ "variable total 0 total ! : add total @ + total ! ; 100 add 23 add total @ . total @ 2 / .",
    /* 5 */ ": gcd begin dup while swap over mod repeat drop ; 1071 462 gcd . 72 emit 105 emit 10 emit",
    /* 6 */ "1 2 oops",
    /* 7 */ "+",
    /* 8 */ "1 0 /",
};

enum { MAX_WORDS = 64, MAX_CODE = 256, MAX_STACK = 64, MAX_OUTPUT = 256, MEMORY_CELLS = 16 };
enum error { OK, UNKNOWN_WORD = -1, UNDERFLOW = -2, OVERFLOW = -3, BAD_STRUCTURE = -4, BAD_ADDRESS = -5 };

typedef int64_t cell;
typedef void routine(void);

struct word {
    const char *name;
    int name_length;
    routine *run;
    int parameter;  /* a colon definition's entry in `code`, a variable's address */
    int immediate;
};

static struct word words[MAX_WORDS];
static int word_count;
static cell code[MAX_CODE], stack[MAX_STACK], returns[MAX_STACK], memory[MEMORY_CELLS];
static int here, depth, return_depth, memory_used;
static int at_code;                /* the inner interpreter's program counter */
static const struct word *current; /* the word that is being run */
static const char *source;
static int compiling;
static enum error error;
static unsigned char output[MAX_OUTPUT];
static int output_length;

/* stacks */

static void push(cell value)
{
    if (depth == MAX_STACK)
        error = OVERFLOW;
    else
        stack[depth++] = value;
}

static cell pop(void)
{
    if (depth == 0) {
        error = UNDERFLOW;
        return 0;
    }
    return stack[--depth];
}

static void push_return(cell value)
{
    if (return_depth == MAX_STACK)
        error = OVERFLOW;
    else
        returns[return_depth++] = value;
}

static cell pop_return(void)
{
    if (return_depth == 0) {
        error = UNDERFLOW;
        return 0;
    }
    return returns[--return_depth];
}

/* arithmetic and stack words */

static void add(void) { cell b = pop(); push(pop() + b); }
static void subtract(void) { cell b = pop(); push(pop() - b); }
static void multiply(void) { cell b = pop(); push(pop() * b); }
static void divide(void) { cell b = pop(); push(pop() / b); }
static void modulo(void) { cell b = pop(); push(pop() % b); }
static void equal(void) { cell b = pop(); push(pop() == b); }
static void less(void) { cell b = pop(); push(pop() < b); }
static void greater(void) { cell b = pop(); push(pop() > b); }
static void zero_equal(void) { push(pop() == 0); }
static void duplicate(void) { cell a = pop(); push(a); push(a); }
static void drop(void) { pop(); }
static void swap(void) { cell b = pop(), a = pop(); push(b); push(a); }
static void over(void) { cell b = pop(), a = pop(); push(a); push(b); push(a); }

/* memory */

static cell *address(void)
{
    cell a = pop();
    if (a < 0 || a >= MEMORY_CELLS) {
        error = BAD_ADDRESS;
        return memory;
    }
    return memory + a;
}

static void fetch(void) { push(*address()); }
static void store(void) { cell *a = address(); *a = pop(); }

/* output */

static void emit_byte(int byte)
{
    if (output_length < MAX_OUTPUT)
        output[output_length++] = byte;
}

static void emit(void) { emit_byte(pop()); }

static void dot(void)
{
    unsigned char digits[20];
    cell value = pop();
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    int count = 0;
    if (value < 0)
        emit_byte('-');
    do {
        digits[count++] = '0' + rest % 10;
        rest /= 10;
    } while (rest);
    while (count > 0)
        emit_byte(digits[--count]);
    emit_byte(' ');
}

/* the routines behind compiled code */

static void literal(void) { push(code[at_code++]); }
static void branch(void) { at_code = code[at_code]; }
static void branch_if_zero(void) { at_code = pop() ? at_code + 1 : code[at_code]; }
static void enter(void) { push_return(at_code); at_code = current->parameter; }
static void leave(void) { at_code = pop_return(); }
static void variable_address(void) { push(current->parameter); }

static void begin_loop(void)
{
    cell start = pop(), limit = pop();
    push_return(limit);
    push_return(start);
}

static void end_loop(void)
{
    cell i = pop_return() + 1, limit = pop_return();
    if (i < limit) {
        push_return(limit);
        push_return(i);
        at_code = code[at_code];
    } else {
        at_code++;
    }
}

static void loop_index(void)
{
    if (return_depth == 0)
        error = UNDERFLOW;
    else
        push(returns[return_depth - 1]);
}

/* the dictionary */

static int same(const char *a, const char *b, int length)
{
    while (length > 0 && *a == *b)
        a++, b++, length--;
    return length == 0;
}

static int find(const char *name, int length)
{
    for (int i = word_count - 1; i >= 0; i--)
        if (words[i].name_length == length && same(words[i].name, name, length))
            return i;
    return -1;
}

static void define(const char *name, int length, routine *run, int parameter, int immediate)
{
    if (word_count == MAX_WORDS) {
        error = OVERFLOW;
        return;
    }
    struct word *word = &words[word_count++];
    word->name = name;
    word->name_length = length;
    word->run = run;
    word->parameter = parameter;
    word->immediate = immediate;
}

/* The next blank-separated piece of the source, 0 at its end. */
static int next_name(const char **name)
{
    int length = 0;
    while (*source == ' ')
        source++;
    *name = source;
    while (*source && *source != ' ')
        source++, length++;
    return length;
}

/* the compiler: words that run while a definition is being compiled; open branches wait on the data stack */

enum { LITERAL, BRANCH, BRANCH_IF_ZERO, BEGIN_LOOP, END_LOOP, EXIT };  /* their places in the dictionary */

static void compile(cell value)
{
    if (here == MAX_CODE)
        error = OVERFLOW;
    else
        code[here++] = value;
}

static void patch(cell place)
{
    if (place < 0 || place >= MAX_CODE)
        error = BAD_STRUCTURE;
    else
        code[place] = here;
}

static void open_branch(int kind)
{
    compile(kind);
    push(here);
    compile(0);
}

static void compile_if(void) { open_branch(BRANCH_IF_ZERO); }
static void compile_then(void) { patch(pop()); }
static void compile_else(void) { cell place = pop(); open_branch(BRANCH); patch(place); }
static void compile_begin(void) { push(here); }
static void compile_until(void) { compile(BRANCH_IF_ZERO); compile(pop()); }
static void compile_while(void) { open_branch(BRANCH_IF_ZERO); swap(); }
static void compile_repeat(void) { compile(BRANCH); compile(pop()); patch(pop()); }
static void compile_do(void) { compile(BEGIN_LOOP); push(here); }
static void compile_loop(void) { compile(END_LOOP); compile(pop()); }
static void compile_recurse(void) { compile(word_count - 1); }
static void semicolon(void) { compile(EXIT); compiling = 0; }

static void colon(void)
{
    const char *name;
    int length = next_name(&name);
    define(name, length, enter, here, 0);
    compiling = 1;
}

static void variable(void)
{
    const char *name;
    int length = next_name(&name);
    if (memory_used == MEMORY_CELLS)
        error = OVERFLOW;
    else
        define(name, length, variable_address, memory_used++, 0);
}

static const struct {
    const char *name;
    routine *run;
    int immediate;
} primitives[] = {
    {"(literal)", literal, 0}, {"(branch)", branch, 0}, {"(branch0)", branch_if_zero, 0}, {"(do)", begin_loop, 0},
    {"(loop)", end_loop, 0}, {"exit", leave, 0}, {"+", add, 0}, {"-", subtract, 0}, {"*", multiply, 0},
    {"/", divide, 0}, {"mod", modulo, 0}, {"=", equal, 0}, {"<", less, 0}, {">", greater, 0}, {"0=", zero_equal, 0},
    {"dup", duplicate, 0}, {"drop", drop, 0}, {"swap", swap, 0}, {"over", over, 0}, {"@", fetch, 0}, {"!", store, 0},
    {".", dot, 0}, {"emit", emit, 0}, {"i", loop_index, 0}, {":", colon, 0}, {"variable", variable, 0},
    {";", semicolon, 1}, {"if", compile_if, 1}, {"else", compile_else, 1}, {"then", compile_then, 1},
    {"begin", compile_begin, 1}, {"until", compile_until, 1}, {"while", compile_while, 1},
    {"repeat", compile_repeat, 1}, {"do", compile_do, 1}, {"loop", compile_loop, 1}, {"recurse", compile_recurse, 1},
};

/* the two interpreters */

/* Runs one word; for a colon definition, everything that it calls. */
static void execute(int index)
{
    int base = return_depth;
    current = &words[index];
    current->run();
    while (!error && return_depth > base) {
        current = &words[code[at_code++]];
        current->run();
    }
}

static int number(const char *name, int length, cell *value)
{
    int negative = *name == '-' && length > 1;
    *value = 0;
    for (int i = negative; i < length; i++) {
        if (name[i] < '0' || name[i] > '9')
            return 0;
        *value = *value * 10 + (name[i] - '0');
    }
    if (negative)
        *value = -*value;
    return 1;
}

static void interpret(const char *name, int length)
{
    cell value;
    int index = find(name, length);
    if (index >= 0) {
        if (compiling && !words[index].immediate)
            compile(index);
        else
            execute(index);
    } else if (!number(name, length, &value)) {
        error = UNKNOWN_WORD;
    } else if (compiling) {
        compile(LITERAL);
        compile(value);
    } else {
        push(value);
    }
}

/* Runs source k in a fresh Forth; returns the length of its output, or a negative error. */
int forth(int k)
{
    const char *name;
    int length;
    word_count = here = depth = return_depth = memory_used = at_code = compiling = output_length = 0;
    error = OK;
    for (unsigned i = 0; i < sizeof primitives / sizeof primitives[0]; i++) {
        for (length = 0; primitives[i].name[length]; length++)
            ;
        define(primitives[i].name, length, primitives[i].run, 0, primitives[i].immediate);
    }
    source = sources[k];
    while (!error && (length = next_name(&name)) > 0)
        interpret(name, length);
    return error ? (int)error : output_length;
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
