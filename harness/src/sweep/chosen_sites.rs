//! Which requests of a whole program are made to fail, by their call sites: what the user names
//! (`--only`, `--skip`), without those that the C library makes by itself.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::report::call_site::Site;
use crate::report::format::count;
use crate::sweep::measurements::Baseline;
use crate::sweep::settings::ChosenSites;

/// Marks the call sites that are left out, and returns notes on them.
///
/// # Errors
/// A text that no call site contains, or texts that leave out all requests.
pub(crate) fn choose(chosen: &ChosenSites, baseline: &mut Baseline) -> Result<Vec<String>, Error> {
    for (option, texts) in [("--only", &chosen.only), ("--skip", &chosen.skip)] {
        for text in texts {
            if !baseline.sites.iter().any(|site| site.passes_through(text)) {
                return Err(unknown(option, text, &baseline.sites));
            }
        }
    }
    let is_own = |site: &Site| !chosen.c_library && site.is_c_library_alone();
    baseline.left_out =
        baseline.sites.iter().map(|site| is_own(site) || chosen.leaves_out(site)).collect();
    let requests = |is_it: &dyn Fn(&Site) -> bool| {
        let all = baseline.by_request.iter().flatten();
        all.filter(|site| baseline.sites.get(**site as usize).is_some_and(is_it)).count() as u64
    };
    let own = requests(&is_own);
    let left_out = requests(&|site| !is_own(site) && chosen.leaves_out(site));
    let mut notes = Vec::new();
    if own > 0 {
        let own = count(own, "request");
        notes.push(format!("{own} of the C library's own did not fail; --libc fails them too"));
    }
    if left_out > 0 {
        let all = count(baseline.requests, "request");
        let (options, verb) = match (chosen.only.is_empty(), chosen.skip.is_empty()) {
            (false, true) => ("--only", "leaves"),
            (true, false) => ("--skip", "leaves"),
            _ => ("--only and --skip", "leave"),
        };
        notes.push(format!("{options} {verb} out {left_out} of {all}"));
    }
    if chosen.is_narrow() && baseline.coordinates().next().is_none() {
        return Err(
            Error::new("--only and --skip leave no request to fail").help("leave out one of them")
        );
    }
    Ok(notes)
}

/// The mistake of a text that no call site contains, with the nearest names.
fn unknown(option: &str, text: &str, sites: &[Site]) -> Error {
    let frames = sites.iter().flat_map(|site| &site.frames);
    let names: BTreeSet<&str> = frames
        .flat_map(|frame| [&*frame.function, &*frame.module])
        .filter(|name| !name.is_empty())
        .collect();
    let names: Vec<&str> = names.into_iter().collect();
    let error = Error::new(format!("no request comes from a function or a module named `{text}`"))
        .at(option);
    match similar::get_close_matches(text, &names, 3, 0.5)[..] {
        [] => error.help("name one that a report shows in a call site"),
        ref near => {
            let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
            error.help(format!("did you mean {}?", near.join(" or ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::call_site::Frame;
    use crate::trace::Coordinate;

    fn site(frames: &[(&str, &str)], c_call: &str) -> Site {
        let frame = |(function, module): &(&str, &str)| Frame {
            function: (*function).to_owned(),
            module: (*module).to_owned(),
            ..Frame::default()
        };
        Site { frames: frames.iter().map(frame).collect(), c_call: c_call.to_owned() }
    }

    /// Three requests of the program, one of them through a library, and one of the C library alone.
    fn baseline() -> Baseline {
        let main = ("main", "words");
        Baseline {
            has_sites: true,
            requests: 4,
            by_thread: vec![4],
            sites: vec![
                site(&[("read_words", "words"), main], ""),
                site(&[("XML_Parse", "libexpat.so.1"), main], ""),
                site(&[("fopen", "libc.so.6"), main], "fopen"),
                site(&[("exit", "libc.so.6")], "exit"),
            ],
            by_request: vec![vec![0, 1, 2, 3]],
            ..Baseline::default()
        }
    }

    /// The ordinals of the requests that fail, and the notes.
    fn chosen(only: &[&str], skip: &[&str], c_library: bool) -> Result<(Vec<u64>, String), String> {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
        let chosen = ChosenSites { only: texts(only), skip: texts(skip), c_library };
        let mut baseline = baseline();
        let notes = choose(&chosen, &mut baseline).map_err(|error| error.to_string())?;
        let ordinals = baseline.coordinates().map(|Coordinate { ordinal, .. }| ordinal);
        Ok((ordinals.collect(), notes.join("; ")))
    }

    #[test]
    fn a_name_chooses_the_requests_that_come_from_it() {
        let notes = "1 request of the C library's own did not fail; --libc fails them too";
        assert_eq!(chosen(&[], &[], false), Ok((vec![1, 2, 3], notes.to_owned())));
        assert_eq!(chosen(&[], &[], true), Ok((vec![1, 2, 3, 4], String::new())));
        let (only, said) = chosen(&["expat", "read_"], &[], true).expect("chosen");
        assert_eq!((only, &*said), (vec![1, 2], "--only leaves out 2 of 4 requests"));
        let (skipped, said) = chosen(&[], &["XML_Parse"], true).expect("chosen");
        assert_eq!((skipped, &*said), (vec![1, 3, 4], "--skip leaves out 1 of 4 requests"));
        let (both, _) = chosen(&["words"], &["libexpat"], true).expect("chosen");
        assert_eq!(both, [1, 3]);
    }

    #[test]
    fn a_name_that_chooses_nothing_is_an_error_with_the_nearest() {
        let error = chosen(&["XML_Prase"], &[], false).expect_err("there is none");
        assert!(
            error.contains("--> --only") && error.contains("did you mean `XML_Parse`"),
            "{error}"
        );
        let error = chosen(&[], &["qqqqqq"], false).expect_err("there is none");
        assert!(error.contains("--> --skip") && error.contains("a report shows"), "{error}");
        let error = chosen(&["XML_Parse"], &["expat"], false).expect_err("nothing is left");
        assert!(error.contains("leave no request to fail"), "{error}");
    }

    #[test]
    fn one_call_of_the_c_library_is_the_same_wherever_it_dies() {
        let main = ("main", "words");
        let compile =
            site(&[("re_compile", "libc.so.6"), ("regcomp", "libc.so.6"), main], "regcomp");
        let died = site(&[("free_dfa", "libc.so.6"), ("regcomp", "libc.so.6"), main], "regcomp");
        assert!(compile.is_in_same_c_call(&died));
        let later = site(&[("strlen", "libc.so.6"), main], "strlen");
        assert!(!compile.is_in_same_c_call(&later), "the program passed on what it was refused");
        let other = site(&[("regcomp", "libc.so.6"), ("other", "words"), main], "regcomp");
        assert!(!compile.is_in_same_c_call(&other));
        let copied = site(&[main], "");
        assert!(!copied.is_in_same_c_call(&copied), "strdup gives its caller the memory");
    }
}
