//! The wheels that the engine comes in, pinned by version and SHA-256, and what is taken out of each.
//!
//! Promises: pure; nothing but these wheels is ever fetched, and a file with another SHA-256 is none of them.

use super::files::{Model, Part, RUNTIME};

/// The oldest GNU C library that ONNX Runtime's library asks for, by the versions of its symbols on both machines (`objdump -T`).
pub const LEAST_GLIBC: (u32, u32) = (2, 27);
/// A name that every part's licence has; see [`Contents::files`].
pub const LICENCE: &str = "LICENSE";

/// A package's file in the Python package index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wheel {
    /// The package's name.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The file's name.
    pub file: &'static str,
    /// The platform in that name, for pip.
    pub platform: &'static str,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: &'static str,
    /// The processor that it is for, as Rust names it; `None` where what is taken out of it is for all.
    pub machine: Option<&'static str>,
    /// What is taken out of it.
    pub contents: &'static [Contents],
}

/// What of a wheel makes a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// Which.
    pub part: Part,
    /// Each file's name in the wheel, and its name in the part's folder.
    pub files: &'static [(&'static str, &'static str)],
    /// Their sizes together.
    pub bytes: u64,
}

impl Wheel {
    /// Where a person finds it.
    #[must_use]
    pub fn page(&self) -> String {
        format!("https://pypi.org/project/{}/{}/#files", self.package, self.version)
    }

    /// What a part takes of it.
    #[must_use]
    pub fn of(&self, part: Part) -> Option<&Contents> {
        self.contents.iter().find(|contents| contents.part == part)
    }
}

const FAST: Contents = Contents {
    part: Part::Fast,
    files: &[
        ("moonshine_voice/assets/tiny-en/encoder_model.ort", "encoder_model.ort"),
        ("moonshine_voice/assets/tiny-en/decoder_model_merged.ort", "decoder_model_merged.ort"),
        ("moonshine_voice/assets/tiny-en/tokenizer.bin", "tokenizer.bin"),
        ("moonshine_voice-0.1.0.dist-info/licenses/LICENSE", LICENCE),
    ],
    bytes: 43_944_900,
};

/// Every wheel there is. Source of the hashes: the index's own, read on 2026-11-22.
pub const WHEELS: &[Wheel] = &[
    Wheel {
        package: "moonshine-voice",
        version: "0.1.0",
        file: "moonshine_voice-0.1.0-py3-none-manylinux_2_34_x86_64.whl",
        platform: "manylinux_2_34_x86_64",
        bytes: 56_369_045,
        sha256: "0f833deb43bad5dcfb4cfd3257b6df83ef9abd3f27be3199622fe41932e8d916",
        machine: Some("x86_64"),
        contents: &[
            Contents {
                part: Part::Runtime,
                files: &[("moonshine_voice.libs/libonnxruntime-13ab8084.so.1", RUNTIME)],
                bytes: 22_346_464,
            },
            FAST,
        ],
    },
    Wheel {
        package: "moonshine-voice",
        version: "0.1.0",
        file: "moonshine_voice-0.1.0-py3-none-manylinux_2_34_aarch64.whl",
        platform: "manylinux_2_34_aarch64",
        bytes: 55_143_464,
        sha256: "da54a99587edb987c8755f2c746cab72fada0e67cf847f7edfb8105447f405af",
        machine: Some("aarch64"),
        contents: &[
            Contents {
                part: Part::Runtime,
                files: &[("moonshine_voice.libs/libonnxruntime-ab8c4363.so.1", RUNTIME)],
                bytes: 18_762_288,
            },
            FAST,
        ],
    },
    // Weights alone: its own ONNX Runtime is too old and stays where it is.
    Wheel {
        package: "moonshine-cpp",
        version: "0.1.4",
        file: "moonshine_cpp-0.1.4-py3-none-manylinux2014_x86_64.whl",
        platform: "manylinux2014_x86_64",
        bytes: 54_645_697,
        sha256: "f7afc662bdd3ef98815ee3b940438b456e77d5a77cea5396ed9c572785412ebd",
        machine: None,
        contents: &[Contents {
            part: Part::Accurate,
            files: &[
                ("moonshine_cpp-0.1.4.data/purelib/moonshine_cpp/models/base-en/encoder_model.ort", "encoder_model.ort"),
                (
                    "moonshine_cpp-0.1.4.data/purelib/moonshine_cpp/models/base-en/decoder_model_merged.ort",
                    "decoder_model_merged.ort",
                ),
                ("moonshine_cpp-0.1.4.data/purelib/moonshine_cpp/models/base-en/tokenizer.bin", "tokenizer.bin"),
                ("moonshine_cpp-0.1.4.data/purelib/moonshine_cpp/LICENSE", LICENCE),
            ],
            bytes: 63_607_916,
        }],
    },
];

/// The wheel that a part comes in on a machine; `None` where there is none.
#[must_use]
pub fn wheel_of<'a>(wheels: &'a [Wheel], part: Part, os: &str, machine: &str) -> Option<&'a Wheel> {
    let fits = |wheel: &&Wheel| os == "linux" && wheel.of(part).is_some() && wheel.machine.is_none_or(|own| own == machine);
    wheels.iter().find(fits)
}

/// The wheels that a model needs on a machine; `None` where it cannot run there.
#[must_use]
pub fn wheels_of<'a>(wheels: &'a [Wheel], model: Model, os: &str, machine: &str) -> Option<Vec<&'a Wheel>> {
    let mut needed: Vec<&Wheel> = model.parts().iter().map(|part| wheel_of(wheels, *part, os, machine)).collect::<Option<_>>()?;
    needed.dedup();
    Some(needed)
}

/// The version of the C library in what `getconf GNU_LIBC_VERSION` or `ldd --version` says; `None` where that is another library's.
#[must_use]
pub fn glibc(says: &str) -> Option<(u32, u32)> {
    let first = says.lines().next().filter(|line| line.starts_with("glibc ") || line.starts_with("ldd ("))?;
    let (major, rest) = first.split_whitespace().next_back()?.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A size for people, in millions of bytes.
#[must_use]
pub fn megabytes(bytes: u64) -> String {
    format!("{} MB", (bytes + 500_000) / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_has_its_wheels_on_each_machine_that_it_runs_on_and_none_elsewhere() {
        let names = |model, os, machine| {
            wheels_of(WHEELS, model, os, machine).map(|wheels| wheels.iter().map(|wheel| wheel.file).collect::<Vec<_>>())
        };
        let voice = |machine| format!("moonshine_voice-0.1.0-py3-none-manylinux_2_34_{machine}.whl");
        let cpp = "moonshine_cpp-0.1.4-py3-none-manylinux2014_x86_64.whl".to_owned();
        for machine in ["x86_64", "aarch64"] {
            assert_eq!(names(Model::Fast, "linux", machine).unwrap(), [voice(machine)]);
            assert_eq!(names(Model::Accurate, "linux", machine).unwrap(), [voice(machine), cpp.clone()]);
        }
        assert_eq!(names(Model::Fast, "linux", "riscv64"), None);
        assert_eq!(names(Model::Accurate, "linux", "riscv64"), None);
        assert_eq!(names(Model::Fast, "macos", "aarch64"), None);
    }

    #[test]
    fn every_wheel_is_pinned_by_a_whole_hash_and_carries_its_models_licence() {
        for wheel in WHEELS {
            assert!(wheel.sha256.len() == 64 && wheel.sha256.bytes().all(|digit| digit.is_ascii_hexdigit()), "{}", wheel.file);
            assert!(wheel.file.ends_with(&format!("-{}.whl", wheel.platform)) && wheel.file.contains(wheel.version));
            for contents in wheel.contents.iter().filter(|contents| contents.part != Part::Runtime) {
                assert!(contents.files.iter().any(|(_, name)| *name == LICENCE), "{}", wheel.file);
            }
        }
    }

    #[test]
    fn the_c_librarys_version_is_read_from_either_command() {
        assert_eq!(glibc("glibc 2.36\n"), Some((2, 36)));
        assert_eq!(glibc("ldd (Debian GLIBC 2.36-9+deb12u14) 2.36\nCopyright"), Some((2, 36)));
        assert_eq!(glibc("ldd (GNU libc) 2.17"), Some((2, 17)));
        assert_eq!(glibc("ldd (Ubuntu GLIBC 2.39-0ubuntu8.6) 2.39"), Some((2, 39)));
        for other in ["musl libc (x86_64)\nVersion 1.2.4", "", "glibc", "ldd (x) y"] {
            assert_eq!(glibc(other), None, "{other}");
        }
    }

    #[test]
    fn a_size_is_rounded() {
        assert_eq!(megabytes(56_369_045), "56 MB");
        assert_eq!(megabytes(1_070), "0 MB");
    }
}
