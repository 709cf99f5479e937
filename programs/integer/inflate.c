/* DEFLATE decompression (RFC 1951): stored blocks, fixed and dynamic Huffman codes. */

#include <stdint.h>

/* 0: "The house that Jack built" as far as the cow (543 bytes; dynamic codes) */
static const unsigned char dynamic_stream[] = {
    0xbd, 0x8e, 0x4d, 0x0a, 0xc3, 0x40, 0x08, 0x46, 0xf7, 0x39, 0x85, 0x07, 0x28, 0x3d, 0x48, 0xd7, 0xb9, 0x80,
    0x99, 0x0c, 0x51, 0x62, 0x62, 0x71, 0x1c, 0x86, 0xde, 0xbe, 0x53, 0x32, 0x94, 0x2e, 0x0b, 0xf9, 0x01, 0x17,
    0x2a, 0x9f, 0xef, 0xd9, 0x13, 0x27, 0xa8, 0xe5, 0x14, 0x81, 0x34, 0xa7, 0x58, 0x3b, 0x74, 0x78, 0x60, 0x98,
    0x61, 0xc8, 0x2c, 0x7e, 0xef, 0xba, 0xfe, 0x27, 0xb3, 0xa0, 0x78, 0x5d, 0xd4, 0x88, 0xe0, 0x0b, 0x78, 0xfd,
    0xfb, 0xd0, 0xd0, 0x6f, 0xdb, 0x21, 0x7a, 0xdc, 0x87, 0x0a, 0x5f, 0xd4, 0xcc, 0x22, 0x71, 0x3c, 0x9a, 0x3f,
    0xea, 0xd4, 0x50, 0x45, 0xcd, 0xb8, 0x09, 0xce, 0xb6, 0x06, 0x2d, 0x50, 0xd8, 0x69, 0x1b, 0x2c, 0x2f, 0xcf,
    0x8f, 0x84, 0xd4, 0xd6, 0x66, 0x70, 0x4d, 0xa9, 0x69, 0x2f, 0xfb, 0xf0, 0x0d,
};
/* 1: a run of one letter and a remark (fixed codes) */
static const unsigned char fixed_stream[] = {
    0x4b, 0x4c, 0x24, 0x0d, 0xe8, 0x28, 0x24, 0xe6, 0xa5, 0x28, 0x94, 0x64, 0x24, 0x96, 0x28, 0x94, 0x27, 0x16,
    0x2b, 0x64, 0x96, 0x00, 0x00,
};
/* 2: twenty letters (stored) */
static const unsigned char stored_stream[] = {
    0x01, 0x14, 0x00, 0xeb, 0xff, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61,
    0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61,
};

enum { CAPACITY = 1024, MAX_BITS = 15, LITERALS = 288, DISTANCES = 30 };
enum error { OK, TRUNCATED = -1, BAD_BLOCK = -2, BAD_CODE = -3, BAD_DISTANCE = -4, TOO_LONG = -5 };

/* A canonical Huffman code: how many codes there are of each length, and the symbols in the order of their codes. */
struct huffman {
    uint16_t count[MAX_BITS + 1];
    uint16_t symbol[LITERALS];
};

static unsigned char output[CAPACITY];
static int length;

static const unsigned char *input, *input_end;
static uint64_t bit_buffer;
static int bits_held;
static enum error error;

static void refill(int count)
{
    while (bits_held < count && input < input_end) {
        bit_buffer |= (uint64_t)*input++ << bits_held;
        bits_held += 8;
    }
}

static int bits(int count)
{
    refill(count);
    if (bits_held < count) {
        error = TRUNCATED;
        return 0;
    }
    int value = bit_buffer & (((uint64_t)1 << count) - 1);
    bit_buffer >>= count;
    bits_held -= count;
    return value;
}

/* Reads a symbol bit by bit: `first` is the first code of the present length, `index` the place of its symbol. */
static int decode(const struct huffman *code)
{
    int value = 0, first = 0, index = 0;
    for (int size = 1; size <= MAX_BITS; size++) {
        value |= bits(1);
        if (error)
            return 0;
        int count = code->count[size];
        if (value - first < count)
            return code->symbol[index + value - first];
        index += count;
        first = (first + count) << 1;
        value <<= 1;
    }
    error = BAD_CODE;
    return 0;
}

/* Builds the code from the code length of each symbol. */
static void construct(struct huffman *code, const unsigned char *sizes, int symbols)
{
    uint16_t next[MAX_BITS + 1];
    __builtin_memset(code->count, 0, sizeof code->count);
    for (int i = 0; i < symbols; i++)
        code->count[sizes[i]]++;
    next[1] = 0;
    for (int size = 1; size < MAX_BITS; size++)
        next[size + 1] = next[size] + code->count[size];
    for (int i = 0; i < symbols; i++)
        if (sizes[i])
            code->symbol[next[sizes[i]]++] = i;
    code->count[0] = 0;
}

static struct huffman literal_code, distance_code;

static void put(int byte)
{
    if (length == CAPACITY)
        error = TOO_LONG;
    else
        output[length++] = byte;
}

static void copy(int size, int distance)
{
    if (distance > length) {
        error = BAD_DISTANCE;
        return;
    }
    while (size-- > 0 && !error)
        put(output[length - distance]);
}

static void compressed_data(void)
{
    while (!error) {
        int symbol = decode(&literal_code);
        if (error || symbol == 256)
            return;
        if (symbol < 256) {
            put(symbol);
            continue;
        }
        /* lengths 257..264 are 3..10; then four for each number of extra bits; 285 is 258 */
        int size, extra;
        symbol -= 257;
        if (symbol < 8) {
            size = 3 + symbol;
        } else if (symbol < 28) {
            extra = symbol / 4 - 1;
            size = 3 + ((4 + symbol % 4) << extra) + bits(extra);
        } else {
            size = 258;
        }
        int distance = decode(&distance_code);
        if (distance >= DISTANCES)
            error = BAD_CODE;
        if (error)
            return;
        if (distance >= 4) {
            extra = distance / 2 - 1;
            distance = ((2 + distance % 2) << extra) + bits(extra);
        }
        copy(size, distance + 1);
    }
}

static void stored_block(void)
{
    bits(bits_held & 7);
    int size = bits(16), complement = bits(16);
    if (size != (complement ^ 0xffff))
        error = BAD_BLOCK;
    while (size-- > 0 && !error) {
        int byte = bits(8);
        if (!error)
            put(byte);
    }
}

static void fixed_codes(void)
{
    unsigned char sizes[LITERALS];
    for (int i = 0; i < LITERALS; i++)
        sizes[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    construct(&literal_code, sizes, LITERALS);
    for (int i = 0; i < DISTANCES; i++)
        sizes[i] = 5;
    construct(&distance_code, sizes, DISTANCES);
}

static void dynamic_codes(void)
{
    static const unsigned char order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    unsigned char sizes[LITERALS + 32];
    int literals = bits(5) + 257, distances = bits(5) + 1, given = bits(4) + 4;
    __builtin_memset(sizes, 0, 19);
    for (int i = 0; i < given; i++)
        sizes[order[i]] = bits(3);
    construct(&literal_code, sizes, 19);  /* the code of the code lengths, for the time being */

    int have = 0;
    while (have < literals + distances && !error) {
        int symbol = decode(&literal_code), repeat = 1, size = symbol;
        switch (symbol) {
        case 16:
            if (have == 0) {
                error = BAD_CODE;
                return;
            }
            size = sizes[have - 1];
            repeat = 3 + bits(2);
            break;
        case 17:
            size = 0;
            repeat = 3 + bits(3);
            break;
        case 18:
            size = 0;
            repeat = 11 + bits(7);
            break;
        }
        if (have + repeat > literals + distances || literals > 286) {
            error = BAD_CODE;
            return;
        }
        while (repeat-- > 0)
            sizes[have++] = size;
    }
    construct(&literal_code, sizes, literals);
    construct(&distance_code, sizes + literals, distances);
}

/* Unpacks a stream; returns the length of the output, or a negative error. */
static int inflate(const unsigned char *stream, int size)
{
    int last;
    input = stream;
    input_end = stream + size;
    bit_buffer = bits_held = length = 0;
    error = OK;
    do {
        last = bits(1);
        int kind = bits(2);
        if (error)
            break;
        switch (kind) {
        case 0:
            stored_block();
            break;
        case 1:
            fixed_codes();
            compressed_data();
            break;
        case 2:
            dynamic_codes();
            if (!error)
                compressed_data();
            break;
        default:
            error = BAD_BLOCK;
        }
    } while (!last && !error);
    return error ? (int)error : length;
}

int unpack(int stream)
{
    switch (stream) {
    case 0:
        return inflate(dynamic_stream, sizeof dynamic_stream);
    case 1:
        return inflate(fixed_stream, sizeof fixed_stream);
    default:
        return inflate(stored_stream, sizeof stored_stream);
    }
}

/* The first `bytes` bytes of stream 0 only. */
int unpack_part(int bytes)
{
    return inflate(dynamic_stream, bytes);
}

int byte(int i)
{
    return output[i];
}

/* CRC-32 of the output. */
int crc32(void)
{
    uint32_t crc = -1u;
    for (int i = 0; i < length; i++) {
        crc ^= output[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320 & -(crc & 1));
    }
    return ~crc;
}
