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
 * What a subject answers: all went well.
 */
#define MALLORY_OK 0

/**
 * What a subject answers: it ran out of memory, and gave back what it had. Any other number is an
 * error that has nothing to do with memory, which under a fault is a finding.
 */
#define MALLORY_NO_MEMORY 1

/**
 * A port as a table of functions: an allocator of C's, or a heap that is handed to C.
 *
 * `alloc` and `free` have to be there; where one of the others is null, a caller does without.
 * Sizes are in bytes, alignments powers of two. A null answer is a refusal. The promises are
 * those of `Port`: a refused resize leaves the old block alive and as it was.
 */
typedef struct mallory_port {
  /**
   * Handed to each function.
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
   * Gives a block back, with the size and alignment that it was asked for with.
   */
  void (*free)(void *context, void *block, size_t size, size_t align);
  /**
   * Makes a block larger or smaller; it may move. May be null.
   */
  void *(*resize)(void *context, void *block, size_t old_size, size_t new_size, size_t align);
  /**
   * Bytes asked for and not yet given back. May be null.
   */
  uint64_t (*bytes_outstanding)(void *context);
  /**
   * The most that has been outstanding. May be null.
   */
  uint64_t (*peak)(void *context);
  /**
   * Requests that were refused. May be null.
   */
  uint64_t (*failures)(void *context);
} mallory_port;

/**
 * An allocator of C's in the words of `malloc`, as a table; or a heap in those words.
 *
 * `malloc` and `free` have to be there; the others may be null.
 */
typedef struct mallory_memory {
  /**
   * Handed to each function.
   */
  void *context;
  /**
   * A block aligned for every type of C's own.
   */
  void *(*malloc)(void *context, size_t size);
  /**
   * A block of zeroes; null where the product is too large. May be null.
   */
  void *(*calloc)(void *context, size_t count, size_t size);
  /**
   * Another size of a block; of null it is `malloc`. May be null.
   */
  void *(*realloc)(void *context, void *block, size_t size);
  /**
   * Gives a block back; of null it does nothing.
   */
  void (*free)(void *context, void *block);
  /**
   * A block aligned to a power of two. May be null.
   */
  void *(*aligned_alloc)(void *context, size_t align, size_t size);
  /**
   * How many bytes of a block may be used. May be null.
   */
  size_t (*usable_size)(void *context, void *block);
} mallory_memory;

/**
 * The code under test: takes its memory from the heap, and answers `MALLORY_OK`,
 * `MALLORY_NO_MEMORY` or another error. It is called many times, and must do the same each time.
 */
typedef int (*mallory_subject)(mallory_heap *heap, void *user_data);

/**
 * What is asked of a sweep. All zeroes asks for nothing in particular, and so does a null pointer.
 */
typedef struct mallory_options {
  /**
   * The one number that all chance comes from.
   */
  uint64_t seed;
  /**
   * Processes that share the work; 0 is one.
   */
  size_t jobs;
  /**
   * Faulted runs at the most; 0 is as many as it takes.
   */
  uint64_t limit;
  /**
   * Whether absorbing a failed request is a finding, too.
   */
  bool strict;
  /**
   * The allocator that the heap stands on; null is the system's.
   */
  const struct mallory_port *port;
  /**
   * How this program is started, for replay lines; null is as it was.
   */
  const char *program;
} mallory_options;

/**
 * What is asked of a conformance run. All zeroes asks for nothing in particular, and so does a null
 * pointer.
 */
typedef struct mallory_conformance_options {
  /**
   * The one number that all chance comes from.
   */
  uint64_t seed;
  /**
   * Operations, in sequences of 512; 0 is 8,192.
   */
  size_t operations;
  /**
   * The largest size in bytes that is asked for in earnest; 0 is 64 KiB.
   */
  size_t max_size;
  /**
   * The largest alignment that is asked for in earnest, a power of two; 0 is 64 KiB.
   */
  size_t max_align;
  /**
   * Bytes of the region that the allocator stands on, which is filled up until it refuses: what
   * was given back has to be there again. 0 is no such region. It takes `renew`.
   */
  size_t fixed;
  /**
   * Makes the allocator as new, with nothing in use; called with the table's context before each
   * sequence. Null: blocks of the sequences before are never given back.
   */
  void (*renew)(void *context);
  /**
   * How many bytes the allocator holds of whatever it stands on: the same requests and frees again
   * and again must not make it more. May be null.
   */
  size_t (*held)(void *context);
  /**
   * Runs these lines, as a finding printed them, in place of drawing any; null draws.
   */
  const char *sequence;
  /**
   * How this program is started, for replay lines; null is as it was.
   */
  const char *program;
} mallory_conformance_options;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Says part of what a run came to. All that was said is compared with what the fault-free run said:
 * an answer of `MALLORY_OK` with another text is a finding.
 */
void mallory_say(const char *text);

/**
 * The heap as a table with sizes and alignments. It is good as long as the heap.
 */
struct mallory_port mallory_heap_port(mallory_heap *heap);

/**
 * The heap as a table in the words of `malloc`. It is good as long as the heap.
 */
struct mallory_memory mallory_heap_memory(mallory_heap *heap);

/**
 * A second heap of the same run with a name of its own: what one hands out the other may not take
 * back. To be given back with `mallory_heap_drop`.
 */
mallory_heap *mallory_heap_named(mallory_heap *heap, const char *name);

/**
 * Gives back a heap that `mallory_heap_named` made.
 */
void mallory_heap_drop(mallory_heap *heap);

/**
 * Sweeps a subject: every request that it makes of the heap fails in turn, once and for good.
 * Prints the report, and answers the exit code: 0 clean, 1 findings, 2 a mistake of the caller's,
 * 3 incomplete, 101 a bug of Mallory's own. `mallory_sweep` puts `__FILE__` in place of `file`,
 * by which paths in the report lose what belongs to the machine.
 */
int mallory_sweep_from(const char *file,
                       const char *name,
                       mallory_subject subject,
                       void *user_data,
                       const struct mallory_options *options);

/**
 * Holds an allocator to its contract: drives it with seeded sequences of requests and frees beside a
 * model, in child processes. Prints the report, each broken promise with the smallest sequence that
 * shows it, and answers the exit code: 0 clean, 1 findings, 2 a mistake of the caller's, 101 a bug
 * of Mallory's own. `MALLORY_SEQUENCE=FILE` runs a sequence again.
 */
int mallory_conformance(const char *name,
                        const struct mallory_port *port,
                        const struct mallory_conformance_options *options);

/**
 * The same for an allocator that has only the words of `malloc`. A `calloc` is asked for products as
 * well that are larger than there can be.
 */
int mallory_conformance_memory(const char *name,
                               const struct mallory_memory *memory,
                               const struct mallory_conformance_options *options);

/**
 * Holds an allocator to its contract: drives it with seeded sequences of requests and frees beside a
 * model, in child processes. Prints the report, each broken promise with the smallest sequence that
 * shows it, and answers the exit code: 0 clean, 1 findings, 2 a mistake of the caller's, 101 a bug
 * of Mallory's own. `MALLORY_SEQUENCE=FILE` runs a sequence again.
 */
int mallory_conformance(const char *name,
                        const struct mallory_port *port,
                        const struct mallory_conformance_options *options);

/**
 * The same for an allocator that has only the words of `malloc`. A `calloc` is asked for products as
 * well that are larger than there can be.
 */
int mallory_conformance_memory(const char *name,
                               const struct mallory_memory *memory,
                               const struct mallory_conformance_options *options);

/**
 * `malloc` on a heap. `heap` is a `mallory_heap *`, here and below; it is called `void *` so that
 * these functions can stand in another library's table as they are.
 */
void *mallory_malloc(void *heap, size_t size);

/**
 * `calloc` on a heap: null where the product is too large.
 */
void *mallory_calloc(void *heap, size_t count, size_t size);

/**
 * `realloc` on a heap: of null it is `malloc`; to zero it frees, and answers null.
 */
void *mallory_realloc(void *heap, void *block, size_t size);

/**
 * `free` on a heap: of null it does nothing.
 */
void mallory_free(void *heap, void *block);

/**
 * `aligned_alloc` on a heap: null where the alignment is no power of two.
 */
void *mallory_aligned_alloc(void *heap, size_t align, size_t size);

/**
 * `posix_memalign` on a heap: 0, or `EINVAL` (22) or `ENOMEM` (12) with `*block` as it was.
 */
int mallory_posix_memalign(void *heap, void **block, size_t align, size_t size);

/**
 * How many bytes of a block may be used: as many as were asked for.
 */
size_t mallory_usable_size(void *heap, void *block);

/**
 * A `lua_Alloc`: one function for everything, which says the size at a free, and is held to it.
 */
void *mallory_lua_alloc(void *heap, void *block, size_t old_size, size_t new_size);

/**
 * A zlib `alloc_func`: `items * size` bytes, or null where that is too much.
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
