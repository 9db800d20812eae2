//! `new --fuzz`: writes what cargo-fuzz needs for a system, in the folder of a package: `fuzz/Cargo.toml`
//! and a target.

use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::process::atomic_file;

/// The value of a key in the lines of a manifest, such as `name` in `name = "queue"`.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let after = &line[line.find(key)? + key.len()..];
    let quoted = after.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?;
    quoted.split('"').next()
}

/// The lines of `fuzz/Cargo.toml` for a package with this manifest, and its crate `library`.
fn manifest(package: &str, library: &str) -> String {
    let own = package.lines().find_map(|line| value(line, "name")).unwrap_or(library);
    let line = package.lines().find(|line| line.trim_start().starts_with("mallory"));
    let mallory = match line.and_then(|line| value(line, "path")) {
        Some(path) if Path::new(path).is_absolute() => format!("path = \"{path}\""),
        Some(path) => format!("path = \"../{path}\""),
        None => format!("version = \"{}\"", env!("CARGO_PKG_VERSION")),
    };
    format!(
        "# Fuzz targets in the layout of cargo-fuzz, outside of any workspace: they are built with coverage.
[package]
name = \"{own}-fuzz\"
version = \"0.0.0\"
edition = \"2024\"
publish = false

[package.metadata]
cargo-fuzz = true

[dependencies]
libfuzzer-sys = \"0.4\"
mallory = {{ {mallory}, features = [\"arbitrary\"] }}
{library} = {{ path = \"..\", package = \"{own}\" }}

# Call sites are part of a finding's id.
[profile.release]
debug = 1

[workspace]
"
    )
}

/// The lines of a target in `fuzz/Cargo.toml`.
fn target_lines(target: &str) -> String {
    format!(
        "
[[bin]]
name = \"{target}\"
path = \"fuzz_targets/{target}.rs\"
test = false
doc = false
bench = false
"
    )
}

/// Writes the set-up in this folder, for the system of this name and type. A manifest that is there gets
/// the target's lines added; a target that is there is left alone. Returns the files that were written.
///
/// # Errors
/// The folder is not a package's, the target is there already, or a file can't be read or written.
pub(crate) fn write(folder: &Path, system: &str, type_path: &str) -> Result<[String; 2], Error> {
    let failed = |what: &str, path: &Path, error: &std::io::Error| {
        Error::new(format!("cannot {what} the file: {error}"))
            .at(path.display().to_string())
            .help("check the folder's permissions and free space")
    };
    let package = folder.join("Cargo.toml");
    let package = fs::read_to_string(&package).map_err(|error| {
        failed("read", Path::new("Cargo.toml"), &error).help("run it in the folder of a package")
    })?;
    let library = type_path.split("::").next().unwrap_or(type_path);
    let target = system.replace(['-', '/'], "_");
    let shown = Path::new("fuzz/fuzz_targets").join(format!("{target}.rs"));
    let path = folder.join(&shown);
    if fs::symlink_metadata(&path).is_ok() {
        return Err(Error::new("the file exists already")
            .at(shown.display().to_string())
            .help("remove it first, or fuzz with it"));
    }
    let fuzz = folder.join("fuzz/Cargo.toml");
    let before = match fs::read_to_string(&fuzz) {
        Ok(before) => before,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => manifest(&package, library),
        Err(error) => return Err(failed("read", Path::new("fuzz/Cargo.toml"), &error)),
    };
    let code = format!(
        "//! The operations of `{system}`, in random scripts with failed requests.
#![no_main]

mallory::fuzz::fuzz_target!({type_path});
"
    );
    let made = fs::create_dir_all(folder.join("fuzz/fuzz_targets"));
    made.map_err(|error| failed("write", Path::new("fuzz/fuzz_targets"), &error))?;
    let written = atomic_file::write(&path, &code);
    written.map_err(|error| failed("write", &shown, &error))?;
    let written = atomic_file::write(&fuzz, &(before + &target_lines(&target)));
    written.map_err(|error| failed("write", Path::new("fuzz/Cargo.toml"), &error))?;
    Ok(["fuzz/Cargo.toml".to_owned(), shown.display().to_string()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: &str = "[package]\nname = \"my-queue\"\nversion = \"0.1.0\"\n\n[dev-dependencies]\n\
                           mallory = { path = \"../mallory/harness\" }\n";

    #[test]
    fn the_docs_print_what_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("Cargo.toml"), PACKAGE).expect("written");
        write(folder.path(), "queue", "my_queue::Queue").expect("written");
        let docs = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scripts.md"));
        let docs = docs.expect("the docs are there");
        let written = |name: &str| {
            let text = fs::read_to_string(folder.path().join(name)).expect(name);
            // The first line says where it is in the docs, and what it is in the file.
            text.split_once('\n').expect("lines").1.to_owned()
        };
        assert!(docs.contains(&written("fuzz/Cargo.toml")), "{}", written("fuzz/Cargo.toml"));
        assert!(docs.contains(&written("fuzz/fuzz_targets/queue.rs")));
    }

    #[test]
    fn a_set_up_is_written_once_and_extended_by_other_targets() {
        let folder = tempfile::tempdir().expect("a folder");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect(name);
        let error = write(folder.path(), "queue", "my_queue::Queue").expect_err("no package");
        assert!(error.to_string().contains("run it in the folder of a package"), "{error}");
        fs::write(folder.path().join("Cargo.toml"), PACKAGE).expect("written");
        write(folder.path(), "queue", "my_queue::Queue").expect("written");
        let manifest = read("fuzz/Cargo.toml");
        assert!(
            manifest.contains("mallory = { path = \"../../mallory/harness\", features"),
            "{manifest}"
        );
        assert!(
            manifest.contains("my_queue = { path = \"..\", package = \"my-queue\" }"),
            "{manifest}"
        );
        let target = read("fuzz/fuzz_targets/queue.rs");
        assert!(target.contains("#![no_main]\n\nmallory::fuzz::fuzz_target!(my_queue::Queue);\n"));
        // Nothing is written over.
        fs::write(folder.path().join("fuzz/fuzz_targets/queue.rs"), "mine").expect("written");
        let error = write(folder.path(), "queue", "my_queue::Queue").expect_err("it is there");
        assert!(error.to_string().contains("--> fuzz/fuzz_targets/queue.rs"), "{error}");
        assert_eq!(
            (read("fuzz/fuzz_targets/queue.rs"), read("fuzz/Cargo.toml")),
            ("mine".into(), manifest.clone())
        );
        write(folder.path(), "two-ends", "my_queue::Deque<u8>").expect("written");
        assert_eq!(read("fuzz/Cargo.toml"), manifest + &target_lines("two_ends"));
        assert!(
            read("fuzz/fuzz_targets/two_ends.rs").contains("fuzz_target!(my_queue::Deque<u8>)")
        );
    }
}
