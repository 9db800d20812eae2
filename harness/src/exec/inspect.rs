//! What a command names, before it is started: the file of the program, and the interpreter of a
//! script. What can't be swept is said with its place and what to do about it.
#![allow(unsafe_code)]

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::exec::elf;
use crate::exec::start::ProgramStart;

/// As many interpreters of interpreters are followed, as the kernel does.
const SCRIPTS_MAX: usize = 5;
/// The bytes of a script's first line that the kernel reads.
const FIRST_LINE: usize = 256;

/// A program to be started, and what of it can't be watched.
#[derive(Debug)]
pub(crate) struct Inspected {
    pub(crate) start: ProgramStart,
    pub(crate) unwatched: Vec<String>,
}

/// Finds what is to be started for these words: the program's file or, for a script, the file of its
/// interpreter.
///
/// # Errors
/// No such program, or one that can't be swept.
pub(crate) fn inspect(
    words: &[OsString],
    variables: Vec<(OsString, OsString)>,
) -> Result<Inspected, Error> {
    let Some((program, _)) = words.split_first() else {
        return Err(Error::new("no program is named").help("mallory exec -- PROGRAM ARGS"));
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut start = ProgramStart {
        file: find(program, &path)?,
        words: words.to_vec(),
        variables,
        hidden: Vec::new(),
    };
    for _ in 0..SCRIPTS_MAX {
        let place = start.file.display().to_string();
        let bytes = read(&start.file).map_err(|error| error.at(&place))?;
        if elf::is_elf(&bytes) {
            let file = start.file.metadata().map_err(|error| unreadable(&error).at(&place))?;
            check_rights(&start.file, &file, Rights::own()).map_err(|error| error.at(&place))?;
            let uses_malloc = start
                .variable("PYTHONMALLOC")
                .is_some_and(|value| value.as_bytes().starts_with(b"malloc"));
            let unwatched = elf::check(&bytes, uses_malloc).map_err(|error| error.at(&place))?;
            return Ok(Inspected { start, unwatched });
        }
        follow(&mut start, &bytes)?;
    }
    Err(Error::new("the script's interpreter is a script again, and so on without end")
        .at(start.file.display().to_string())
        .help("name a program in the first line of one of them"))
}

/// The file of a program, as a shell finds it.
///
/// # Errors
/// There is none, or it is not to be executed.
fn find(program: &OsStr, folders: &OsStr) -> Result<PathBuf, Error> {
    let path = Path::new(program);
    let shown = path.display().to_string();
    if shown.is_empty() {
        return Err(Error::new("the program's name is empty").help("mallory exec -- PROGRAM ARGS"));
    }
    if shown.contains('/') {
        return executable(path).map(|()| path.to_owned()).map_err(|error| error.at(shown));
    }
    let all = std::env::split_paths(folders).map(|folder| folder.join(path));
    let files: Vec<PathBuf> = all.filter(|file| file.is_file()).collect();
    if let Some(found) = files.iter().find(|file| executable(file).is_ok()) {
        return Ok(found.clone());
    }
    if let Some(first) = files.first() {
        executable(first).map_err(|error| error.at(first.display().to_string()))?;
    }
    let help = match path.exists() {
        true => format!("there is one in this folder: write ./{shown}"),
        false => "is it installed, and in a folder of PATH?".to_owned(),
    };
    Err(Error::new("there is no such program").at(shown).help(help))
}

/// Checks that a file is there, and may be executed.
fn executable(path: &Path) -> Result<(), Error> {
    let file = match path.metadata() {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::new("there is no such program").help("check the path"));
        }
        Err(error) => return Err(unreadable(&error)),
    };
    if file.is_dir() {
        return Err(Error::new("this is a folder, and no program").help("name a file in it"));
    }
    if !file.is_file() {
        return Err(Error::new("this is no file, and so no program").help("name a program"));
    }
    let name = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
    // SAFETY: asks about a file whose name is a C string.
    if unsafe { libc::access(name.as_ptr(), libc::X_OK) } != 0 {
        return Err(Error::new("the file is not executable")
            .help(format!("chmod +x {} makes it executable", path.display())));
    }
    Ok(())
}

fn unreadable(error: &std::io::Error) -> Error {
    Error::new(format!("the program can't be read: {error}")).help("check its permissions")
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| unreadable(&error))
}

/// Who starts the program.
#[derive(Clone, Copy, Debug)]
struct Rights {
    user: u32,
    group: u32,
}

impl Rights {
    fn own() -> Rights {
        // SAFETY: these ask for numbers.
        unsafe { Rights { user: libc::geteuid(), group: libc::getegid() } }
    }
}

/// Checks that the program doesn't get other rights than those of who starts it: the loader preloads
/// nothing into it then.
fn check_rights(path: &Path, file: &Metadata, rights: Rights) -> Result<(), Error> {
    let copied = "sweep a copy, which has no such rights: cp makes one";
    if file.mode() & libc::S_ISUID != 0 && file.uid() != rights.user {
        return Err(
            Error::new("the program is set-user-ID: nothing can be preloaded into it").help(copied)
        );
    }
    let gives_group = libc::S_ISGID | libc::S_IXGRP;
    if file.mode() & gives_group == gives_group && file.gid() != rights.group {
        return Err(Error::new("the program is set-group-ID: nothing can be preloaded into it")
            .help(copied));
    }
    let name = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
    // SAFETY: asks for the size of an attribute; both names are C strings.
    let size = unsafe {
        let attribute = c"security.capability";
        libc::getxattr(name.as_ptr(), attribute.as_ptr(), std::ptr::null_mut(), 0)
    };
    if size > 0 && rights.user != 0 {
        return Err(Error::new(
            "the program has file capabilities: nothing can be preloaded into it",
        )
        .help(copied));
    }
    Ok(())
}

/// Changes what is started from a script to its interpreter, as the kernel does. What `env` would
/// start is started in its place.
fn follow(start: &mut ProgramStart, bytes: &[u8]) -> Result<(), Error> {
    let script = start.file.clone();
    let place = script.display().to_string();
    let Some(rest) = bytes.strip_prefix(b"#!") else {
        return Err(no_program(bytes, &place));
    };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = &line[..line.len().min(FIRST_LINE)];
    let place = format!("{place}:1");
    if line.ends_with(b"\r") {
        let what =
            "the script's first line ends in a carriage return, which is part of a name then";
        return Err(Error::new(what).at(place).help("save the script with the line ends of Unix"));
    }
    let line = line.trim_ascii();
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (interpreter, argument) = (&line[..end], line[end..].trim_ascii());
    if interpreter.is_empty() {
        return Err(Error::new("the script names no interpreter after #!")
            .at(place)
            .help("write #!/bin/sh, say"));
    }
    let path = PathBuf::from(OsStr::from_bytes(interpreter));
    let mut before = vec![path.clone().into_os_string()];
    start.file = match path.file_name() {
        Some(name) if name == "env" => {
            before = by_env(argument, &mut start.variables).map_err(|error| error.at(&place))?;
            let folders = start.variable("PATH").unwrap_or_default();
            find(&before[0], &folders).map_err(|_| missing(&before[0]).at(&place))?
        }
        _ => {
            if !argument.is_empty() {
                before.push(OsStr::from_bytes(argument).to_owned());
            }
            executable(&path).map_err(|_| missing(path.as_os_str()).at(&place))?;
            path
        }
    };
    before.push(script.into_os_string());
    before.extend(start.words.drain(1..));
    start.words = before;
    Ok(())
}

/// The mistake of a script whose interpreter is not there.
fn missing(interpreter: &OsStr) -> Error {
    let name = interpreter.to_string_lossy();
    let help = match name.contains(' ') {
        true => "env takes this as one name: write #!/usr/bin/env -S in front of several words",
        false => "install it, or name another one in the script's first line",
    };
    Error::new(format!("the script's interpreter is missing: {name}")).help(help)
}

/// The mistake of a file that is neither a program of this system nor a script.
fn no_program(bytes: &[u8], place: &str) -> Error {
    let error = match bytes {
        [] => Error::new("the file is empty, and no program").help("build or install it again"),
        _ if bytes[..bytes.len().min(FIRST_LINE)].contains(&0) => {
            Error::new("the file is no program: it is neither an ELF file nor a script")
                .help("name a program that is built for Linux")
        }
        _ => Error::new("the file is a text without #!, so nothing says which program runs it")
            .help(format!("name its interpreter: mallory exec -- sh {place}")),
    };
    error.at(place)
}

/// What `env` starts for this argument of a script's first line, and the variables that it sets.
fn by_env(
    argument: &[u8],
    variables: &mut Vec<(OsString, OsString)>,
) -> Result<Vec<OsString>, Error> {
    let split = argument.strip_prefix(b"-S").or(argument.strip_prefix(b"--split-string="));
    let mut words: Vec<&[u8]> = match split {
        Some(rest) => rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect(),
        None => vec![argument],
    };
    while let Some(word) = words.first() {
        if word.starts_with(b"-") || word.contains(&b'\'') || word.contains(&b'"') {
            let word = String::from_utf8_lossy(word);
            return Err(Error::new(format!("what env does with `{word}` is not known here"))
                .help("name the interpreter in the command: mallory exec -- python3 SCRIPT"));
        }
        let Some(sign) = word.iter().position(|byte| *byte == b'=') else { break };
        let (name, value) = (&word[..sign], &word[sign + 1..]);
        let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        variables.push((text(name), text(value)));
        words.remove(0);
    }
    if words.first().is_none_or(|word| word.is_empty()) {
        return Err(Error::new("the script names no interpreter after env")
            .help("write #!/usr/bin/env python3, say"));
    }
    Ok(words.into_iter().map(|word| OsString::from_vec(word.to_vec())).collect())
}
