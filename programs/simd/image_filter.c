// A picture of 64 x 48 grey pixels: drawn by a rule, softened, and its edges found, 16 pixels at a time with SIMD.
#include <stdint.h>
#include <wasm_simd128.h>

enum { WIDTH = 64, HEIGHT = 48, LANES = 16 };

static uint8_t picture[HEIGHT][WIDTH], filtered[HEIGHT][WIDTH];

static v128_t row(int y, int x) {
  return wasm_v128_load(&picture[y < 0 ? 0 : y >= HEIGHT ? HEIGHT - 1 : y][x]);
}

// A pixel is bright where bits of its place say so.
static void draw(int seed) {
  for (int y = 0; y < HEIGHT; y++)
    for (int x = 0; x < WIDTH; x++)
      picture[y][x] = (uint8_t)((((x ^ y) & 8) * 24) + ((x * seed + y) & 31));
}

// Each pixel becomes the mean of itself and the mean of those above and below.
static void soften(void) {
  for (int y = 0; y < HEIGHT; y++)
    for (int x = 0; x < WIDTH; x += LANES)
      wasm_v128_store(&filtered[y][x], wasm_u8x16_avgr(row(y, x), wasm_u8x16_avgr(row(y - 1, x), row(y + 1, x))));
}

// How much brighter or darker it is below than above, and 255 where that is more than a limit.
static void edges(uint8_t limit) {
  for (int y = 0; y < HEIGHT; y++)
    for (int x = 0; x < WIDTH; x += LANES) {
      v128_t above = row(y - 1, x), below = row(y + 1, x);
      v128_t difference = wasm_v128_or(wasm_u8x16_sub_sat(above, below), wasm_u8x16_sub_sat(below, above));
      wasm_v128_store(&filtered[y][x], wasm_v128_or(difference, wasm_u8x16_gt(difference, wasm_u8x16_splat(limit))));
    }
}

static uint32_t sum(void) {
  v128_t total = wasm_i32x4_splat(0);
  for (int y = 0; y < HEIGHT; y++)
    for (int x = 0; x < WIDTH; x += LANES) {
      v128_t pairs = wasm_u16x8_extadd_pairwise_u8x16(wasm_v128_load(&filtered[y][x]));
      total = wasm_i32x4_add(total, wasm_u32x4_extadd_pairwise_u16x8(pairs));
    }
  return wasm_u32x4_extract_lane(total, 0) + wasm_u32x4_extract_lane(total, 1) + wasm_u32x4_extract_lane(total, 2) +
         wasm_u32x4_extract_lane(total, 3);
}

uint32_t softened(int seed) {
  draw(seed);
  soften();
  return sum();
}

uint32_t edge_strength(int seed, int limit) {
  draw(seed);
  edges((uint8_t)limit);
  return sum();
}
