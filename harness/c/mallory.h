/* Mallory, the adversary in your allocator, for C: a heap as a table of functions, a sweep that
   fails every request of a C function in turn, and a run that holds an allocator of C's to its
   contract. Made by `cargo run -p ci -- header`. */

#ifndef MALLORY_H
#define MALLORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* A watched allocator: what a subject is handed. */
typedef struct mallory_heap mallory_heap;

/* Sweeps a subject; see `mallory_sweep_from`. */
#define mallory_sweep(name, subject, user_data, options)                                           \
  mallory_sweep_from(__FILE__, name, subject, user_data, options)

/* For a library whose table of functions has no context: a slot that a heap occupies while it is
   put there (`LIB_heap = heap;`), and the functions of `malloc` on it (`LIB_malloc`, …). While it
   is null they refuse, and take nothing back. */
#define MALLORY_SLOT(LIB)                                                                          \
  static mallory_heap *LIB##_heap;                                                                 \
  static inline void *LIB##_malloc(size_t size) {                                                  \
    return LIB##_heap ? mallory_malloc(LIB##_heap, size) : NULL;                                   \
  }                                                                                                \
  static inline void *LIB##_calloc(size_t count, size_t size) {                                    \
    return LIB##_heap ? mallory_calloc(LIB##_heap, count, size) : NULL;                            \
  }                                                                                                \
  static inline void *LIB##_realloc(void *block, size_t size) {                                    \
    return LIB##_heap ? mallory_realloc(LIB##_heap, block, size) : NULL;                           \
  }                                                                                                \
  static inline void LIB##_free(void *block) {                                                     \
    if (LIB##_heap) mallory_free(LIB##_heap, block);                                               \
  }                                                                                                \
  static inline void *LIB##_aligned_alloc(size_t align, size_t size) {                             \
    return LIB##_heap ? mallory_aligned_alloc(LIB##_heap, align, size) : NULL;                     \
  }                                                                                                \
  static inline size_t LIB##_usable_size(void *block) {                                            \
    return LIB##_heap ? mallory_usable_size(LIB##_heap, block) : 0;                                \
  }

/**
 * What a subject returns if it succeeded.
 */
#define MALLORY_OK 0

/**
 * What a subject returns if it ran out of memory and freed what it had. Any other number is an
 * error that has nothing to do with memory, which is a finding if a request failed.
 */
#define MALLORY_NO_MEMORY 1

/**
 * A port as a table of functions: a C allocator, or a heap that is handed to C.
 *
 * `alloc` and `free` are required; the others may be null. Sizes are in bytes, alignments are
 * powers of two. Returning null refuses a request. The contract is that of `Port`: a refused
 * resize leaves the old block alive and unchanged.
 */
typedef struct mallory_port {
  /**
   * Passed to each function.
   */
  void *context;
  /**
   * A block of this size and alignment.
   */
  void *(*alloc)(void *context, size_t size, size_t align);
  /**
   * A block of zeroes. May be null.
   */
  void *(*alloc_zeroed)(void *context, size_t size, size_t align);
  /**
   * Frees a block. The size and the alignment are those of its request.
   */
  void (*free)(void *context, void *block, size_t size, size_t align);
  /**
   * Makes a block larger or smaller; it may move. May be null.
   */
  void *(*resize)(void *context, void *block, size_t old_size, size_t new_size, size_t align);
  /**
   * The bytes requested and not yet freed. May be null.
   */
  uint64_t (*bytes_outstanding)(void *context);
  /**
   * The largest value of `bytes_outstanding` so far. May be null.
   */
  uint64_t (*peak)(void *context);
  /**
   * The number of refused requests. May be null.
   */
  uint64_t (*failures)(void *context);
} mallory_port;

/**
 * A table of `malloc`-like functions: a C allocator, or a heap that is handed to C.
 *
 * `malloc` and `free` are required; the others may be null.
 */
typedef struct mallory_memory {
  /**
   * Passed to each function.
   */
  void *context;
  /**
   * A block aligned for every C type.
   */
  void *(*malloc)(void *context, size_t size);
  /**
   * A block of `count * size` zero bytes; null if the product overflows. May be null.
   */
  void *(*calloc)(void *context, size_t count, size_t size);
  /**
   * Resizes a block; of null it is `malloc`. May be null.
   */
  void *(*realloc)(void *context, void *block, size_t size);
  /**
   * Frees a block; of null it does nothing.
   */
  void (*free)(void *context, void *block);
  /**
   * A block aligned to a power of two. May be null.
   */
  void *(*aligned_alloc)(void *context, size_t align, size_t size);
  /**
   * The number of bytes of a block that may be used. May be null.
   */
  size_t (*usable_size)(void *context, void *block);
} mallory_memory;

/**
 * The code under test: takes its memory from the heap, and returns `MALLORY_OK`,
 * `MALLORY_NO_MEMORY` or another error. It is called many times, and must do the same each time.
 */
typedef int (*mallory_subject)(mallory_heap *heap, void *user_data);

/**
 * The options of a sweep. All zeroes are the defaults, and so is a null pointer.
 */
typedef struct mallory_options {
  /**
   * The seed of all random choices.
   */
  uint64_t seed;
  /**
   * The number of processes that share the work; 0 is one.
   */
  size_t jobs;
  /**
   * The largest number of faulted runs; 0 is no limit.
   */
  uint64_t limit;
  /**
   * Whether absorbing a failed request is a finding, too.
   */
  bool strict;
  /**
   * The allocator below the heap; null is the system's.
   */
  const struct mallory_port *port;
  /**
   * The command that starts this program, for replay lines; null is the one that started it.
   */
  const char *program;
} mallory_options;

/**
 * The options of a conformance run. All zeroes are the defaults, and so is a null pointer.
 */
typedef struct mallory_conformance_options {
  /**
   * The seed of all random choices.
   */
  uint64_t seed;
  /**
   * The number of operations, in sequences of up to 512; 0 is 8,192.
   */
  size_t operations;
  /**
   * The largest size in bytes that the allocator has to serve; 0 is 64 KiB.
   */
  size_t max_size;
  /**
   * The largest alignment that it has to serve, a power of two; 0 is 64 KiB.
   */
  size_t max_align;
  /**
   * The size in bytes of the fixed region that the allocator manages; 0 if there is none. The
   * region is filled until the allocator refuses, and what was freed has to be available again.
   * Needs `renew`.
   */
  size_t fixed;
  /**
   * Makes the allocator as good as new, with nothing in use. Called with the table's context
   * before each sequence. If it is null, blocks of earlier sequences are never freed.
   */
  void (*renew)(void *context);
  /**
   * The number of bytes that the allocator holds of the memory below it. Repeating the same
   * requests and frees must not increase it. May be null.
   */
  size_t (*held)(void *context);
  /**
   * Runs this sequence, in lines as a finding prints them, instead of random ones; may be null.
   */
  const char *sequence;
  /**
   * The command that starts this program, for replay lines; null is the one that started it.
   */
  const char *program;
} mallory_conformance_options;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Adds to the text that is the run's result. It is compared with the text of the fault-free run:
 * returning `MALLORY_OK` with another text is a finding.
 */
void mallory_say(const char *text);

/**
 * The heap as a table of functions with sizes and alignments. It is valid as long as the heap.
 */
struct mallory_port mallory_heap_port(mallory_heap *heap);

/**
 * The heap as a table of `malloc`-like functions. It is valid as long as the heap.
 */
struct mallory_memory mallory_heap_memory(mallory_heap *heap);

/**
 * A second heap of the same run, with this name. A block of one heap must not be freed through the
 * other. Drop it with `mallory_heap_drop`.
 */
mallory_heap *mallory_heap_named(mallory_heap *heap, const char *name);

/**
 * Drops a heap that `mallory_heap_named` made.
 */
void mallory_heap_drop(mallory_heap *heap);

/**
 * Sweeps a subject: every request that it makes of the heap fails in turn, once alone and once
 * with all later requests. Prints the report, and returns the exit code: 0 clean, 1 findings, 2 a
 * mistake of the caller, 3 incomplete, 101 a bug of Mallory. `mallory_sweep` passes `__FILE__` as
 * `file`, by which the report makes its paths independent of the machine.
 */
int mallory_sweep_from(const char *file,
                       const char *name,
                       mallory_subject subject,
                       void *user_data,
                       const struct mallory_options *options);

/**
 * Tests whether an allocator keeps its contract: runs seeded sequences of requests and frees on
 * it, in child processes, and compares it with a model. Prints the report, each broken promise
 * with the shortest sequence that shows it, and returns the exit code: 0 clean, 1 findings, 2 a
 * mistake of the caller, 101 a bug of Mallory. `MALLORY_SEQUENCE=FILE` runs a sequence again.
 */
int mallory_conformance(const char *name,
                        const struct mallory_port *port,
                        const struct mallory_conformance_options *options);

/**
 * The same for an allocator with `malloc`-like functions. A `calloc` is also given factors whose
 * product overflows.
 */
int mallory_conformance_memory(const char *name,
                               const struct mallory_memory *memory,
                               const struct mallory_conformance_options *options);

/**
 * Tests whether an allocator keeps its contract: runs seeded sequences of requests and frees on
 * it, in child processes, and compares it with a model. Prints the report, each broken promise
 * with the shortest sequence that shows it, and returns the exit code: 0 clean, 1 findings, 2 a
 * mistake of the caller, 101 a bug of Mallory. `MALLORY_SEQUENCE=FILE` runs a sequence again.
 */
int mallory_conformance(const char *name,
                        const struct mallory_port *port,
                        const struct mallory_conformance_options *options);

/**
 * The same for an allocator with `malloc`-like functions. A `calloc` is also given factors whose
 * product overflows.
 */
int mallory_conformance_memory(const char *name,
                               const struct mallory_memory *memory,
                               const struct mallory_conformance_options *options);

/**
 * `malloc` on a heap, whose blocks `mallory_free` frees. Here and below `heap` is a
 * `mallory_heap *`. Its type is `void *`, so that these functions can be put into another library's
 * table as they are.
 */
void *mallory_malloc(void *heap, size_t size);

/**
 * `calloc` on a heap: null if the product overflows. `mallory_free` frees the block.
 */
void *mallory_calloc(void *heap, size_t count, size_t size);

/**
 * `realloc` on a heap: of null it is `malloc`; to a size of zero it frees, and returns null.
 */
void *mallory_realloc(void *heap, void *block, size_t size);

/**
 * `free` on a heap: of null it does nothing.
 */
void mallory_free(void *heap, void *block);

/**
 * `aligned_alloc` on a heap, for `mallory_free`: null if the alignment is no power of two.
 */
void *mallory_aligned_alloc(void *heap, size_t align, size_t size);

/**
 * `posix_memalign` on a heap: returns 0, `EINVAL` (22) or `ENOMEM` (12). On an error `*block`
 * stays as it was.
 */
int mallory_posix_memalign(void *heap, void **block, size_t align, size_t size);

/**
 * `malloc_usable_size` on a heap: the number of bytes that were requested for the block.
 */
size_t mallory_usable_size(void *heap, void *block);

/**
 * A `lua_Alloc`, which is given the right old size: to a size of zero it frees the block.
 */
void *mallory_lua_alloc(void *heap, void *block, size_t old_size, size_t new_size);

/**
 * A zlib `alloc_func`, for `mallory_zlib_free`: null if the product `items * size` overflows.
 */
void *mallory_zlib_alloc(void *heap, unsigned int items, unsigned int size);

/**
 * A zlib `free_func`.
 */
void mallory_zlib_free(void *heap, void *block);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MALLORY_H */
