//! Where a child hangs: its call stack is sampled several times before it is killed. A loop is
//! somewhere else each time, so only what all samples share is reported.

use crate::process::backtrace::Stack;

/// How many samples are taken.
pub(crate) const SAMPLES: usize = 8;
/// The most frames of a sample: the innermost ones.
pub(crate) const FRAMES_MAX: usize = 40;

/// A frame of a sample. The same call has its frame at the same place in every sample, however deep
/// the stack is above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SampledFrame {
    pub(crate) address: usize,
    /// Where its function starts.
    pub(crate) function: usize,
    /// Where it lies on the stack.
    pub(crate) place: usize,
}

/// The frames that all samples share, innermost first. `words` are the samples, each a number of
/// frames and then, for each frame, innermost first, the fields of a [`SampledFrame`].
///
/// Where the innermost shared function stood depends on the moment of the samples, even if it was
/// the same instruction in all of them: it is represented by its start.
pub(crate) fn common_stack(mut words: impl Iterator<Item = usize>) -> Stack {
    let mut samples: Vec<Vec<SampledFrame>> = Vec::new();
    while let Some(count) = words.next() {
        let mut frame = || {
            let (address, function) = (words.next()?, words.next()?);
            Some(SampledFrame { address, function, place: words.next()? })
        };
        samples.push((0..count.min(FRAMES_MAX)).map_while(|_| frame()).collect());
    }
    let Some((first, others)) = samples.split_first() else { return Stack::new() };
    let in_all = |is_it: &dyn Fn(&SampledFrame) -> bool| {
        others.iter().all(|sample| sample.iter().any(is_it))
    };
    // From the outermost frame inwards.
    let (mut shared, mut innermost) = (Stack::new(), None);
    for frame in first.iter().rev() {
        if !in_all(&|other| (other.function, other.place) == (frame.function, frame.place)) {
            break;
        }
        shared.push(frame.address);
        innermost = Some(frame);
        if !in_all(&|other| other == frame) {
            break;
        }
    }
    // Of a function that isn't known, the instruction is all there is. An address in a call stack is
    // one behind a call, and is looked up less 1.
    if let Some(frame) = innermost.filter(|frame| frame.function != 0) {
        shared.pop();
        shared.push(frame.function + 1);
    }
    shared.reverse();
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn frame(address: usize, function: usize, place: usize) -> SampledFrame {
        SampledFrame { address, function, place }
    }

    fn words(samples: &[&[SampledFrame]]) -> Vec<usize> {
        let mut words = Vec::new();
        for sample in samples {
            words.push(sample.len());
            words.extend(sample.iter().flat_map(|f| [f.address, f.function, f.place]));
        }
        words
    }

    #[test]
    fn a_loop_is_named_by_the_start_of_its_function() {
        let outer = frame(900, 800, 99);
        let samples = words(&[
            &[frame(11, 10, 70), frame(220, 200, 80), outer],
            &[frame(225, 200, 80), outer],
            &[frame(31, 30, 60), frame(227, 200, 80), outer],
        ]);
        assert_eq!(common_stack(samples.into_iter()), [201, 900]);
    }

    #[test]
    fn a_wait_is_named_by_its_whole_stack() {
        let stack: &[SampledFrame] = &[frame(15, 10, 70), frame(220, 200, 80)];
        assert_eq!(common_stack(words(&[stack, stack]).into_iter()), [11, 220]);
        let unknown: &[SampledFrame] = &[frame(15, 0, 70), frame(220, 200, 80)];
        assert_eq!(common_stack(words(&[unknown, unknown]).into_iter()), [15, 220]);
        assert_eq!(common_stack(std::iter::empty()), Stack::new());
    }

    #[test]
    fn a_sample_that_was_cut_short_is_used_as_far_as_it_goes() {
        assert_eq!(common_stack([3, 15, 10, 70, 22].into_iter()), [11]);
    }
}
