//! What can't be swept is said before anything is started, with its place and what to do. What can be
//! watched only in part is never clean.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use crate::program::mallory_command;
use crate::workshop::Workshop;

/// What is said of a command in this folder. It must be a mistake.
fn mistake(folder: &Path, program: &str) -> String {
    let output = mallory_command(folder).args(["exec", "--", program]).output().expect("it starts");
    let said = String::from_utf8(output.stderr).expect("mistakes are text");
    assert_eq!(output.status.code(), Some(2), "{program}: {said}");
    assert!(said.starts_with("error: ") && said.contains("\nhelp: "), "{program}: {said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{program}");
    said
}

/// A file with this content and mode.
fn put(folder: &Path, name: &str, content: &[u8], mode: u32) {
    let path = folder.join(name);
    fs::write(&path, content).expect("written");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its mode is set");
}

#[test]
fn what_is_no_program_is_said_to_be_none() {
    let here = tempfile::tempdir().expect("a folder");
    let folder = here.path();
    let mut elf = fs::read("/proc/self/exe").expect("this program can be read");
    fs::create_dir(folder.join("folder")).expect("made");
    put(folder, "for-people", b"hello\n", 0o644);
    put(folder, "text", b"echo hello\n", 0o755);
    put(folder, "empty", b"", 0o755);
    put(folder, "other", b"MZ\x90\0\x03\0", 0o755);
    put(folder, "cut", &elf[..300], 0o755);
    put(folder, "cut-early", &elf[..6], 0o755);
    // The number of the processor, and of the word's size.
    elf[18] = 0xf3;
    put(folder, "foreign", &elf[..4096], 0o755);
    elf[18] = if cfg!(target_arch = "aarch64") { 0xb7 } else { 0x3e };
    elf[4] = 1;
    put(folder, "narrow", &elf[..4096], 0o755);
    for (program, place, what) in [
        ("./nothing", "./nothing", "there is no such program"),
        ("no-such-program", "no-such-program", "there is no such program"),
        ("text", "text", "write ./text"),
        ("./folder", "./folder", "this is a folder"),
        ("./for-people", "./for-people", "not executable"),
        ("./text", "./text", "a text without #!"),
        ("./empty", "./empty", "the file is empty"),
        ("./other", "./other", "neither an ELF file nor a script"),
        ("./cut", "./cut", "the program's file is damaged"),
        ("./cut-early", "./cut-early", "the program's file is damaged"),
        ("./foreign", "./foreign", "for another machine: RISC-V"),
        ("./narrow", "./narrow", "a 32-bit one"),
    ] {
        let said = mistake(folder, program);
        assert!(said.contains(what), "{said}");
        assert!(said.contains(&format!("\n  --> {place}\n")), "{said}");
    }
}

#[test]
fn a_script_is_its_interpreter_and_one_without_is_refused() {
    let here = tempfile::tempdir().expect("a folder");
    let folder = here.path();
    for (name, first_line, what) in [
        ("missing", "#!/no/such/interpreter -x", "interpreter is missing: /no/such/interpreter"),
        ("by-env", "#!/usr/bin/env no-such-python", "interpreter is missing: no-such-python"),
        ("words", "#!/usr/bin/env sh -e", "write #!/usr/bin/env -S"),
        ("option", "#!/usr/bin/env -S -i sh", "what env does with `-i`"),
        ("none", "#!", "names no interpreter after #!"),
        ("windows", "#!/bin/sh\r", "ends in a carriage return"),
    ] {
        put(folder, name, format!("{first_line}\necho hello\n").as_bytes(), 0o755);
        let said = mistake(folder, &format!("./{name}"));
        assert!(said.contains(what) && said.contains(&format!("\n  --> ./{name}:1\n")), "{said}");
    }
    put(folder, "circle", b"#!./circle\n", 0o755);
    assert!(mistake(folder, "./circle").contains("a script again"));
}

#[test]
fn a_script_is_swept_in_its_interpreter() {
    let program = Workshop::of("reads");
    for (name, first_line) in [
        ("plain", format!("#!{}/reads", program.folder().display())),
        ("by-env", "#!/usr/bin/env reads".to_owned()),
        ("split", "#!/usr/bin/env -S UNUSED=1 reads".to_owned()),
    ] {
        let text = format!("{first_line}\n0123456789\n");
        put(program.folder(), name, text.as_bytes(), 0o755);
        let mut command = mallory_command(program.folder());
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", program.folder().display()));
        let output = command.args(["exec", "--", &format!("./{name}")]).output();
        let output = output.expect("it starts");
        let out = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(out.starts_with(name) && out.contains("✓ clean"), "{out}");
        // The file, two buffers and the line: what `reads` asks for, and `env` doesn't.
        assert!(out.contains("  4 requests"), "{out}");
    }
}

#[test]
fn a_program_that_nothing_can_be_preloaded_into_is_refused() {
    let said = Workshop::built("kills_itself", &["-static"]).mistake(&[], &[]);
    assert!(said.contains("linked statically") && said.contains("without -static"), "{said}");
    let said = Workshop::of("own_malloc").mistake(&[], &[]);
    assert!(said.contains("the program has a `malloc` of its own"), "{said}");
    let program = Workshop::of("kills_itself");
    // Only root may give a file away. A program that gives its own user's rights gives none.
    if chown(program.file(), Some(65534), Some(65534)).is_ok() {
        for (mode, what) in [(0o4755, "set-user-ID"), (0o2755, "set-group-ID")] {
            fs::set_permissions(program.file(), Permissions::from_mode(mode)).expect("set");
            let said = program.mistake(&[], &[]);
            assert!(said.contains(what) && said.contains("\n  --> ./kills_itself\n"), "{said}");
        }
    }
}

#[test]
fn a_sanitizers_build_is_refused() {
    let said = Workshop::built("leak", &["-D__asan_init=main_of", "-fsanitize=undefined"]);
    // It brings no allocator of its own.
    assert!(said.report(&[], &[], 1).contains("leak L-"));
    let said = Workshop::built("leak", &["-fsanitize=address"]).mistake(&[], &[]);
    assert!(said.contains("built with AddressSanitizer"), "{said}");
}

#[test]
fn what_is_watched_in_part_is_never_clean() {
    let program = Workshop::built("own_malloc", &["-DMIMALLOC"]);
    for options in [&[][..], &["--limit", "1"], &["--no-faults"]] {
        let report = program.report(options, &[], 3);
        assert!(report.contains("… incomplete"), "{report}");
        assert!(report.contains("watched in part: mimalloc is linked in"), "{report}");
    }
}
