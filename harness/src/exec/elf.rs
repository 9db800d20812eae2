//! What the file of a program tells before it is started: whether a preloaded library can watch it,
//! and what such a library would not see.
//!
//! A program that can't be watched is the caller's mistake. One that can be watched in part is swept,
//! and the report says what it doesn't show; its verdict is then never clean.

use std::collections::BTreeSet;
use std::path::Path;

use object::elf::{self, FileHeader64};
use object::read::elf::{ElfFile, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol};

use crate::error::Error;

/// The first bytes of an ELF file.
const MAGIC: &[u8] = b"\x7fELF";

/// The number of this machine's processor in ELF files, and the names of those that are common.
const OWN_MACHINE: u16 =
    if cfg!(target_arch = "aarch64") { elf::EM_AARCH64.0 } else { elf::EM_X86_64.0 };
const MACHINES: [(u16, &str); 7] = [
    (elf::EM_X86_64.0, "x86-64"),
    (elf::EM_386.0, "x86"),
    (elf::EM_AARCH64.0, "ARM64"),
    (elf::EM_ARM.0, "ARM"),
    (elf::EM_RISCV.0, "RISC-V"),
    (elf::EM_PPC64.0, "PowerPC"),
    (elf::EM_S390.0, "IBM Z"),
];

/// Sanitizers: their name, their libraries, and a function of theirs.
const SANITIZERS: [(&str, &str, &str); 5] = [
    ("AddressSanitizer", "asan", "__asan_init"),
    ("ThreadSanitizer", "tsan", "__tsan_init"),
    ("MemorySanitizer", "msan", "__msan_init"),
    ("HWAddressSanitizer", "hwasan", "__hwasan_init"),
    ("LeakSanitizer", "lsan", "__lsan_init"),
];

/// Allocators that are linked into programs: their name, their libraries, functions of theirs, and a
/// text in them that remains when the names of functions are stripped.
const ALLOCATORS: [(&str, &str, &[&str], &str); 4] = [
    (
        "jemalloc",
        "libjemalloc",
        &["_rjem_malloc", "_rjem_mallocx", "je_malloc", "je_mallocx"],
        "<jemalloc>: ",
    ),
    ("mimalloc", "libmimalloc", &["mi_malloc", "mi_malloc_aligned"], "mimalloc: error"),
    ("tcmalloc", "libtcmalloc", &["tc_malloc", "TCMallocInternalMalloc"], "tcmalloc: "),
    ("rpmalloc", "librpmalloc", &["rpmalloc"], ""),
];

/// A function of every CPython, also as a library.
const PYTHON: [&str; 2] = ["Py_BytesMain", "Py_Main"];

/// Whether this is the beginning of an ELF file.
pub(crate) fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Checks that a program can be watched, and returns what of it can't. `uses_malloc` says that CPython
/// was told to use `malloc`.
///
/// # Errors
/// A program that can't be watched.
pub(crate) fn check(bytes: &[u8], uses_malloc: bool) -> Result<Vec<String>, Error> {
    check_machine(bytes)?;
    let file =
        ElfFile::<FileHeader64<Endianness>>::parse(bytes).map_err(|error| damaged(&error))?;
    let facts = Facts::of(&file).map_err(|error| damaged(&error))?;
    facts.check()?;
    Ok(facts.unwatched(uses_malloc))
}

/// A file whose parts don't fit together.
fn damaged(error: &object::Error) -> Error {
    Error::new(format!("the program's file is damaged: {error}")).help("build or install it again")
}

/// Checks the first bytes: the processor, and what kind of file it is.
fn check_machine(bytes: &[u8]) -> Result<(), Error> {
    let at = |place: usize| bytes.get(place).copied().unwrap_or_default();
    let pair = |place: usize| match at(5) {
        encoding if encoding == elf::ELFDATA2MSB.0 => {
            u16::from_be_bytes([at(place), at(place + 1)])
        }
        _ => u16::from_le_bytes([at(place), at(place + 1)]),
    };
    if bytes.len() < 20 {
        let cut = "the program's file is damaged: it is cut off in its first line";
        return Err(Error::new(cut).help("build or install it again"));
    }
    let machine = pair(18);
    let named = |number| MACHINES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name);
    let own = named(OWN_MACHINE).unwrap_or_default();
    if machine != OWN_MACHINE {
        let name = named(machine).map_or_else(|| format!("machine {machine}"), str::to_owned);
        return Err(Error::new(format!("the program is for another machine: {name}"))
            .help(format!("sweep one that is built for {own}")));
    }
    if at(4) != elf::ELFCLASS64.0 {
        return Err(Error::new("the program is a 32-bit one")
            .help(format!("sweep one that is built for 64 bits ({own})")));
    }
    match elf::FileType(pair(16)) {
        elf::ET_EXEC | elf::ET_DYN => Ok(()),
        elf::ET_REL => Err(Error::new("this is an object file, and no program")
            .help("link it, and sweep the program")),
        elf::ET_CORE => Err(Error::new("this is a core dump, and no program")
            .help("sweep the program that it is of")),
        _ => Err(Error::new("this ELF file is no program").help("name a program")),
    }
}

/// What is read from the file.
#[derive(Debug, Default)]
struct Facts {
    /// The loader that the kernel starts; none for a program that is linked statically.
    loader: Option<String>,
    /// Libraries that it is linked with.
    needed: Vec<String>,
    /// Those of the functions that are looked for which it has, or asks a library for.
    functions: BTreeSet<&'static str>,
    /// The function of the `malloc` family that it exports, if it has an own one.
    own_malloc: Option<&'static str>,
    is_go: bool,
    /// The allocators whose texts it contains, if the names of functions are stripped.
    says: Vec<&'static str>,
}

impl Facts {
    fn of(file: &ElfFile<'_, FileHeader64<Endianness>>) -> object::Result<Facts> {
        let (endian, data) = (file.endian(), file.data());
        let mut facts =
            Facts { is_go: file.section_by_name(".go.buildinfo").is_some(), ..Facts::default() };
        for segment in file.elf_program_headers() {
            if let Some(name) = segment.interpreter(endian, data)? {
                facts.loader = Some(String::from_utf8_lossy(name).into_owned());
            }
        }
        let dynamic = file.elf_dynamic_table()?;
        for entry in dynamic.iter().filter(|entry| entry.tag == elf::DT_NEEDED) {
            let name = dynamic.string(entry)?;
            facts.needed.push(String::from_utf8_lossy(name).into_owned());
        }
        let looked_for: BTreeSet<&'static str> = SANITIZERS
            .iter()
            .map(|(_, _, function)| *function)
            .chain(ALLOCATORS.iter().flat_map(|(_, _, functions, _)| functions.iter().copied()))
            .chain(PYTHON)
            .collect();
        for symbol in file.symbols().chain(file.dynamic_symbols()) {
            if let Some(name) = symbol.name().ok().and_then(|name| looked_for.get(name)) {
                facts.functions.insert(name);
            }
        }
        let own = ["malloc", "calloc", "realloc", "free"];
        let exports = |name: &&str| {
            let mut all = file.dynamic_symbols().filter(|symbol| symbol.is_definition());
            all.any(|symbol| symbol.name() == Ok(*name))
        };
        facts.own_malloc = own.into_iter().find(exports);
        if file.symbols().next().is_none() {
            let texts = file.section_by_name(".rodata").and_then(|section| section.data().ok());
            let texts = texts.unwrap_or_default();
            let contains = |text: &str| {
                !text.is_empty() && texts.windows(text.len()).any(|part| part == text.as_bytes())
            };
            let of = ALLOCATORS.iter().filter(|(_, _, _, text)| contains(text));
            facts.says = of.map(|(name, ..)| *name).collect();
        }
        Ok(facts)
    }

    /// Whether it is linked with a library of this name.
    fn needs(&self, name: &str) -> bool {
        self.needed.iter().any(|needed| needed.starts_with(name))
    }

    fn check(&self) -> Result<(), Error> {
        if self.is_go && !self.needs("libc.so") {
            return Err(Error::new(
                "this is a Go program without C: its memory is the Go runtime's, which doesn't ask \
                 the C library for it",
            )
            .help("sweep a program whose memory is the C library's"));
        }
        let Some(loader) = &self.loader else {
            return Err(Error::new("the program is linked statically: nothing can be preloaded")
                .help("link it dynamically (without -static), and sweep that"));
        };
        let file = Path::new(loader).file_name().unwrap_or_default().to_string_lossy();
        if file.starts_with("ld-musl") {
            return Err(Error::new(
                "the program's C library is musl, and only glibc's can be watched",
            )
            .help("build it for glibc (the target …-linux-gnu), and sweep that"));
        }
        if !file.starts_with("ld-linux") {
            return Err(Error::new(format!("the program's loader is {loader}, and not glibc's"))
                .help("sweep a program that is built for glibc"));
        }
        if !Path::new(loader).exists() {
            return Err(Error::new(format!("the program's loader is missing: {loader}"))
                .help("install the C library that it was built for"));
        }
        for (name, library, function) in SANITIZERS {
            let libraries = [format!("lib{library}."), format!("libclang_rt.{library}")];
            if self.functions.contains(function) || libraries.iter().any(|name| self.needs(name)) {
                return Err(Error::new(format!(
                    "the program is built with {name}, whose allocator takes the place of malloc"
                ))
                .help("build it without -fsanitize=…; leaks and memory errors are found without"));
            }
        }
        if let Some(own) = self.own_malloc {
            return Err(Error::new(format!(
                "the program has a `{own}` of its own{}, which comes before a preloaded one",
                self.allocator().map(|name| format!(" ({name})")).unwrap_or_default()
            ))
            .help("build it with the C library's allocator, and sweep that"));
        }
        Ok(())
    }

    /// An allocator that is linked in.
    fn allocator(&self) -> Option<&'static str> {
        let is_in = |(name, library, functions, _): &&(&'static str, &str, &[&str], &str)| {
            self.needs(library)
                || functions.iter().any(|function| self.functions.contains(function))
                || self.says.contains(name)
        };
        ALLOCATORS.iter().find(is_in).map(|(name, ..)| *name)
    }

    /// What of a program that can be watched can't be.
    fn unwatched(&self, uses_malloc: bool) -> Vec<String> {
        let mut unwatched = Vec::new();
        if self.is_go {
            unwatched.push(
                "watched in part: memory of the Go runtime's neither fails nor is checked, only \
                 that of C functions"
                    .to_owned(),
            );
        }
        if let Some(name) = self.allocator() {
            unwatched.push(format!(
                "watched in part: {name} is linked in, and what is asked of it neither fails nor is \
                 checked; build with the C library's allocator to sweep all"
            ));
        }
        let is_python = PYTHON.iter().any(|function| self.functions.contains(function))
            || self.needs("libpython3");
        if is_python && !uses_malloc {
            unwatched.push(
                "watched in part: CPython divides blocks of up to 512 bytes itself; \
                 --env PYTHONMALLOC=malloc makes each of them a request"
                    .to_owned(),
            );
        }
        unwatched
    }
}
