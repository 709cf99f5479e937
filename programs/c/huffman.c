/* A Huffman coder: counts bytes, builds the code with a binary heap, packs a text into bits, and unpacks it again. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYMBOLS 256
#define MAX_NODES (2 * SYMBOLS)

typedef struct {
    unsigned weight;
    short left, right;  /* -1 in a leaf */
    unsigned char symbol;
} Node;

typedef struct {
    uint32_t bits;
    unsigned char length;
} Code;

typedef struct {
    unsigned char *bytes;
    size_t capacity;
    size_t bit_count;
} BitBuffer;

static Node nodes[MAX_NODES];
static int node_count;
static short heap[MAX_NODES];
static int heap_size;
static Code codes[SYMBOLS];

/* heap of node numbers, lightest first; equal weights by number, so that the code is always the same */

static int lighter(int a, int b)
{
    if (nodes[a].weight != nodes[b].weight)
        return nodes[a].weight < nodes[b].weight;
    return a < b;
}

static void heap_push(int node)
{
    int i = heap_size++;
    while (i > 0 && lighter(node, heap[(i - 1) / 2])) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = node;
}

static int heap_pop(void)
{
    int top = heap[0], last = heap[--heap_size], i = 0;
    for (;;) {
        int child = 2 * i + 1;
        if (child >= heap_size)
            break;
        if (child + 1 < heap_size && lighter(heap[child + 1], heap[child]))
            child++;
        if (!lighter(heap[child], last))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

static int new_node(unsigned weight, int left, int right, int symbol)
{
    Node *n = &nodes[node_count];
    n->weight = weight;
    n->left = left;
    n->right = right;
    n->symbol = symbol;
    return node_count++;
}

static int build_tree(const unsigned *counts)
{
    node_count = heap_size = 0;
    for (int s = 0; s < SYMBOLS; s++)
        if (counts[s])
            heap_push(new_node(counts[s], -1, -1, s));
    while (heap_size > 1) {
        int a = heap_pop(), b = heap_pop();
        heap_push(new_node(nodes[a].weight + nodes[b].weight, a, b, 0));
    }
    return heap_pop();
}

static void assign_codes(int node, uint32_t bits, int length)
{
    const Node *n = &nodes[node];
    if (n->left < 0) {
        codes[n->symbol].bits = bits;
        codes[n->symbol].length = length ? length : 1;  /* a text of one kind of byte */
        return;
    }
    assign_codes(n->left, bits << 1, length + 1);
    assign_codes(n->right, bits << 1 | 1, length + 1);
}

static void append_bit(BitBuffer *b, int bit)
{
    if (b->bit_count / 8 >= b->capacity) {
        size_t grown = b->capacity ? b->capacity * 2 : 16;
        b->bytes = realloc(b->bytes, grown);
        if (!b->bytes)
            exit(1);
        memset(b->bytes + b->capacity, 0, grown - b->capacity);
        b->capacity = grown;
    }
    if (bit)
        b->bytes[b->bit_count / 8] |= 0x80 >> b->bit_count % 8;
    b->bit_count++;
}

static void encode(BitBuffer *out, const char *text)
{
    for (; *text; text++) {
        const Code *code = &codes[(unsigned char)*text];
        for (int i = code->length - 1; i >= 0; i--)
            append_bit(out, code->bits >> i & 1);
    }
}

static char *decode(const BitBuffer *in, int root, size_t length)
{
    char *text = malloc(length + 1);
    size_t bit = 0;
    if (!text)
        exit(1);
    for (size_t i = 0; i < length; i++) {
        int n = root;
        do {
            int value = in->bytes[bit / 8] >> (7 - bit % 8) & 1;
            bit++;
            if (nodes[n].left >= 0)
                n = value ? nodes[n].right : nodes[n].left;
        } while (nodes[n].left >= 0);
        text[i] = nodes[n].symbol;
    }
    text[length] = '\0';
    return text;
}

static void print_codes(void)
{
    for (int s = 0; s < SYMBOLS; s++) {
        if (!codes[s].length)
            continue;
        printf("  '%c' ", s);
        for (int i = codes[s].length - 1; i >= 0; i--)
            putchar('0' + (codes[s].bits >> i & 1));
        putchar('\n');
    }
}

static int compress(const char *text)
{
    unsigned counts[SYMBOLS] = {0};
    BitBuffer packed = {NULL, 0, 0};
    size_t length = strlen(text);

    memset(codes, 0, sizeof codes);
    for (size_t i = 0; i < length; i++)
        counts[(unsigned char)text[i]]++;
    int root = build_tree(counts);
    assign_codes(root, 0, 0);
    encode(&packed, text);

    printf("%zu bytes -> %zu bits in %d codes\n", length, packed.bit_count, (node_count + 1) / 2);
    print_codes();
    printf("  ");
    for (size_t i = 0; i < (packed.bit_count + 7) / 8; i++)
        printf("%02x", packed.bytes[i]);
    printf("\n");

    char *unpacked = decode(&packed, root, length);
    int same = strcmp(unpacked, text) == 0;
    printf("  %s\n", same ? "unpacks to the same text" : "DAMAGED");
    free(unpacked);
    free(packed.bytes);
    return same;
}

int main(void)
{
    int ok = compress("she sells sea shells by the sea shore");
    ok &= compress("aaaaaaaa");
    ok &= compress("abracadabra");
    return !ok;
}
