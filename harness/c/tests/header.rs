//! `mallory.h` is what cbindgen makes of the Rust that it declares: a change there that the header
//! doesn't know is found here. `cargo run -p ci -- header` writes it anew.

use std::path::Path;

use cbindgen::{Builder, Config, EnumConfig, ExportConfig, FunctionConfig, Language, Style};

const SOURCES: [&str; 5] = [
    "c/mod.rs",
    "c/conformance.rs",
    "adapters/c_memory.rs",
    "adapters/c_table.rs",
    "adapters/c_heap.rs",
];

const HEADER: &str = "\
/* Mallory, the adversary in your allocator, for C: a heap as a table of functions, a sweep that
   fails every request of a C function in turn, and a run that holds an allocator of C's to its
   contract. Made by `cargo run -p ci -- header`. */";

/// What is C's own business: a slot of a translation unit, and where a sweep is called.
const BEFORE: &str = r"/* A watched allocator: what a subject is handed. */
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
  }";

/// Rust's names and C's.
const NAMES: [(&str, &str); 8] = [
    ("Heap", "mallory_heap"),
    ("PortTable", "mallory_port"),
    ("MemoryTable", "mallory_memory"),
    ("SweepOptions", "mallory_options"),
    ("ConformanceOptions", "mallory_conformance_options"),
    ("CSubject", "mallory_subject"),
    ("OK", "MALLORY_OK"),
    ("NO_MEMORY", "MALLORY_NO_MEMORY"),
];

fn header() -> String {
    let rename = NAMES.map(|(rust, c)| (rust.to_owned(), c.to_owned()));
    let config = Config {
        header: Some(HEADER.to_owned()),
        no_includes: true,
        sys_includes: ["stdbool.h", "stddef.h", "stdint.h"].map(str::to_owned).into(),
        after_includes: Some(BEFORE.to_owned()),
        include_guard: Some("MALLORY_H".to_owned()),
        language: Language::C,
        cpp_compat: true,
        style: Style::Both,
        usize_is_size_t: true,
        line_length: 100,
        tab_width: 2,
        documentation: true,
        enumeration: EnumConfig::default(),
        function: FunctionConfig { sort_by: None, ..FunctionConfig::default() },
        export: ExportConfig {
            rename: rename.into_iter().collect(),
            // The ports are Rust's, and C has a word of its own for the alignment.
            exclude: ["TablePort", "MemoryPort", "MAX_ALIGN", "Failed"].map(str::to_owned).into(),
            ..ExportConfig::default()
        },
        ..Config::default()
    };
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let builder = Builder::new().with_config(config);
    let builder = SOURCES.iter().fold(builder, |builder, file| builder.with_src(src.join(file)));
    let mut text = Vec::new();
    builder.generate().expect("the sources are Rust").write(&mut text);
    let text = String::from_utf8(text).expect("a header is text");
    // What Rust's readers are told about `unsafe` and its links says nothing to C's.
    let mut lines: Vec<&str> = Vec::new();
    let mut safety = false;
    for line in text.lines() {
        let said = line.trim().trim_start_matches(['*', '/', ' ']);
        safety = (safety || said == "# Safety") && !line.trim().ends_with("*/");
        if safety || said == "# Safety" {
            continue;
        }
        let ends_empty = line.trim() == "*/" && lines.last().is_some_and(|l| l.trim() == "*");
        if ends_empty {
            lines.pop();
        }
        lines.push(line);
    }
    lines.join("\n") + "\n"
}

#[test]
fn the_header_is_what_the_code_says() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("mallory.h");
    let made = header();
    if std::env::var_os("WRITE_HEADER").is_some() {
        std::fs::write(&place, &made).expect("the header is written");
    }
    let there = std::fs::read_to_string(&place).unwrap_or_default();
    assert!(there == made, "mallory.h is stale: cargo run -p ci -- header\n{made}");
}
