/* A plain C program: tests whether a C allocator keeps its contract.

   The allocator has a planted bug: `pool careless` finds it and prints the few calls that show it.
   `pool` tests the fixed allocator. Build it as `words.c`; docs/c.md says how. */

#include <stdint.h>
#include <string.h>

#include "mallory.h"

/* ---- an allocator that knows nothing of Mallory ---- */

enum { UNIT = 16, UNITS = 1024 };

/* A region of units, each of which is taken or free. */
struct pool {
  _Alignas(4096) unsigned char memory[UNITS * UNIT];
  unsigned char taken[UNITS];
  int careless;
};

static size_t units(size_t size) { return size / UNIT + (size % UNIT != 0); }

static int is_free(const struct pool *pool, size_t first, size_t count) {
  for (size_t nth = first; nth < first + count; nth++)
    if (pool->taken[nth]) return 0;
  return 1;
}

static void *pool_alloc(void *context, size_t size, size_t align) {
  struct pool *pool = context;
  size_t count = units(size);
  for (size_t first = 0; count <= UNITS && first <= UNITS - count; first++) {
    unsigned char *block = pool->memory + first * UNIT;
    if ((uintptr_t)block % align == 0 && is_free(pool, first, count)) {
      memset(pool->taken + first, 1, count);
      return block;
    }
  }
  return NULL;
}

static void pool_free(void *context, void *block, size_t size, size_t align) {
  struct pool *pool = context;
  (void)align;
  size_t first = (size_t)((unsigned char *)block - pool->memory) / UNIT;
  memset(pool->taken + first, 0, units(size));
}

static void *pool_resize(void *context, void *block, size_t old_size, size_t new_size,
                         size_t align) {
  struct pool *pool = context;
  size_t first = (size_t)((unsigned char *)block - pool->memory) / UNIT;
  size_t has = units(old_size), wants = units(new_size);
  if (wants <= has) {
    memset(pool->taken + first + wants, 0, has - wants);
    return block;
  }
  /* The planted bug: if the next unit is free, those behind it are taken to be free as well. */
  size_t looked_at = pool->careless ? 1 : wants - has;
  if (wants <= UNITS && first <= UNITS - wants && is_free(pool, first + has, looked_at)) {
    memset(pool->taken + first, 1, wants);
    return block;
  }
  void *fresh = pool_alloc(pool, new_size, align);
  if (fresh == NULL) return NULL;
  memcpy(fresh, block, old_size);
  pool_free(pool, block, old_size, align);
  return fresh;
}

/* ---- the conformance run ---- */

static void pool_renew(void *context) {
  struct pool *pool = context;
  memset(pool->taken, 0, UNITS);
}

int main(int count, char **arguments) {
  static struct pool pool;
  pool.careless = count > 1 && strcmp(arguments[1], "careless") == 0;
  mallory_port port = {
      .context = &pool, .alloc = pool_alloc, .free = pool_free, .resize = pool_resize};
  mallory_conformance_options options = {
      .max_size = 128, .fixed = sizeof pool.memory, .renew = pool_renew};
  return mallory_conformance("pool", &port, &options);
}
