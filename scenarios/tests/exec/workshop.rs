//! Builds the programs of `scenarios/exec`, and sweeps them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::program::mallory_command;

/// A folder with one program, `./NAME`.
pub(crate) struct Workshop {
    folder: tempfile::TempDir,
    name: String,
}

impl Workshop {
    /// Compiles the program of this name.
    pub(crate) fn of(name: &str) -> Workshop {
        Workshop::built(name, &[])
    }

    /// The same with these flags of the compiler's.
    pub(crate) fn built(name: &str, flags: &[&str]) -> Workshop {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("exec");
        let c = sources.join(format!("{name}.c"));
        let (compiler, source) = match c.exists() {
            true => ("cc", c),
            false => ("c++", sources.join(format!("{name}.cpp"))),
        };
        let folder = tempfile::tempdir().expect("a folder");
        let workshop = Workshop { folder, name: name.to_owned() };
        let file = source.file_name().expect("it has a name").to_string_lossy().into_owned();
        workshop.compile(compiler, &file, name, flags);
        workshop
    }

    /// The same with a library in its folder, `./libNAME.so`, of the same file with `LIBRARY` defined.
    pub(crate) fn with_library(name: &str) -> Workshop {
        let workshop = Workshop::of(name);
        workshop.add_library(name);
        workshop
    }

    /// Adds the library of the program of this name.
    pub(crate) fn add_library(&self, name: &str) {
        let flags = ["-DLIBRARY", "-shared", "-fPIC"];
        self.compile("cc", &format!("{name}.c"), &format!("lib{name}.so"), &flags);
    }

    /// Compiles a file of `scenarios/exec` into the folder.
    fn compile(&self, compiler: &str, source: &str, name: &str, flags: &[&str]) {
        let mut command = Command::new(compiler);
        // The compiler writes the names as they are given here into the debug information.
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("exec"));
        command.args(["-g", "-O0", "-o"]).arg(self.folder().join(name));
        command.arg(source).args(flags).arg("-lpthread");
        let made = command.output().expect("a C compiler is installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The program's file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder().join(&self.name)
    }

    /// Runs `mallory exec` with these options on the program with these arguments.
    pub(crate) fn exec(&self, options: &[&str], arguments: &[&str]) -> Output {
        let mut command = mallory_command(self.folder());
        command.arg("exec").args(options).arg("--").arg(format!("./{}", self.name)).args(arguments);
        command.output().expect("the program starts")
    }

    /// The report, which must exit with this code.
    pub(crate) fn report(&self, options: &[&str], arguments: &[&str], code: i32) -> String {
        let output = self.exec(options, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        let out = String::from_utf8(output.stdout).expect("reports are text");
        assert_eq!(output.status.code(), Some(code), "{}: {said}\n{out}", self.name);
        out
    }

    /// The mistake that it says instead of making a report.
    pub(crate) fn mistake(&self, options: &[&str], arguments: &[&str]) -> String {
        let output = self.exec(options, arguments);
        let said = String::from_utf8(output.stderr).expect("mistakes are text");
        assert_eq!(output.status.code(), Some(2), "{}: {said}", self.name);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{}: {said}", self.name);
        said
    }

    /// The same as an object.
    pub(crate) fn json(&self, options: &[&str], code: i32) -> Value {
        let line = self.report(&[&["--format", "json"], options].concat(), &[], code);
        serde_json::from_str(&line).expect("a report is an object")
    }
}
