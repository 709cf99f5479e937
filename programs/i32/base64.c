/* Base64 (RFC 4648) there and back. Text in, code and decoded text in buffers that can be read byte by byte. */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char text[] = "Many hands make light work.";
static unsigned char encoded[64], decoded[64];

/* Encodes the first `length` bytes of the text; returns the number of characters. */
int encode(int length)
{
    unsigned char *out = encoded;
    for (int i = 0; i < length; i += 3) {
        int rest = length - i;
        unsigned group = (unsigned char)text[i] << 16;
        if (rest > 1)
            group |= (unsigned char)text[i + 1] << 8;
        if (rest > 2)
            group |= (unsigned char)text[i + 2];
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = rest > 1 ? alphabet[group >> 6 & 63] : '=';
        *out++ = rest > 2 ? alphabet[group & 63] : '=';
    }
    return out - encoded;
}

static int value_of(int character)
{
    if (character >= 'A' && character <= 'Z')
        return character - 'A';
    if (character >= 'a' && character <= 'z')
        return character - 'a' + 26;
    if (character >= '0' && character <= '9')
        return character - '0' + 52;
    if (character == '+')
        return 62;
    return character == '/' ? 63 : -1;
}

/* Decodes `length` characters of the code; returns the number of bytes, or -1 for a character outside the alphabet. */
int decode(int length)
{
    unsigned char *out = decoded;
    unsigned group = 0;
    int bits = 0;
    for (int i = 0; i < length && encoded[i] != '='; i++) {
        int value = value_of(encoded[i]);
        if (value < 0)
            return -1;
        group = group << 6 | value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            *out++ = group >> bits;
        }
    }
    return out - decoded;
}

int encoded_byte(int i)
{
    return encoded[i];
}

int decoded_byte(int i)
{
    return decoded[i];
}

static int hash(const unsigned char *bytes, int length)
{
    int value = 0;
    for (int i = 0; i < length; i++)
        value = value * 31 + bytes[i];
    return value;
}

/* Polynomial hashes of the two buffers. */
int encoded_hash(int length)
{
    return hash(encoded, length);
}

int decoded_hash(int length)
{
    return hash(decoded, length);
}
