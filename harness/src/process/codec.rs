//! The byte format of messages from a child to its parent. Both run the same program, so there are
//! no versions and no schema; it is not a format for files. A message that is cut short by a death
//! decodes to `None`.

use std::collections::BTreeMap;

use crate::report::call_site::{Frame, Site};
use crate::report::evidence::{BlockInfo, Evidence, Moment, Role};
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::schedule::{FoundSchedule, Preemption, ScheduledOp};
use crate::trace::{Coordinate, End, Injected, Op};

/// A value that can be sent through a pipe.
pub(crate) trait Codec: Sized {
    /// Appends its bytes.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes a value off the front; `None` if the bytes are no such value.
    fn get(from: &mut &[u8]) -> Option<Self>;
}

/// The bytes of a value.
pub(crate) fn pack(value: &impl Codec) -> Vec<u8> {
    let mut out = Vec::new();
    value.put(&mut out);
    out
}

/// The value that these bytes begin with, if they do.
pub(crate) fn unpack<T: Codec>(mut bytes: &[u8]) -> Option<T> {
    T::get(&mut bytes)
}

/// Takes the first message off a buffer to which more may be appended: 8 bytes of length, then the
/// body, which is returned. `None` if it isn't whole yet.
pub(crate) fn next_message(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = u64::from_ne_bytes(buffer.first_chunk::<8>().copied()?);
    let end = usize::try_from(length).ok()?.checked_add(8)?;
    if buffer.len() < end {
        return None;
    }
    let rest = buffer.split_off(end);
    let message = std::mem::replace(buffer, rest);
    Some(message[8..].to_vec())
}

/// A value as a message for [`next_message`].
pub(crate) fn message(value: &impl Codec) -> Vec<u8> {
    let body = pack(value);
    let mut out = (body.len() as u64).to_ne_bytes().to_vec();
    out.extend_from_slice(&body);
    out
}

impl Codec for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_ne_bytes());
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        from.split_off(..8).map(|bytes| u64::from_ne_bytes(*bytes.first_chunk().expect("8 bytes")))
    }
}

macro_rules! as_u64 {
    ($($type:ty),*) => {$(
        impl Codec for $type {
            fn put(&self, out: &mut Vec<u8>) {
                (*self as u64).put(out);
            }

            fn get(from: &mut &[u8]) -> Option<Self> {
                <$type>::try_from(u64::get(from)?).ok()
            }
        }
    )*};
}
as_u64!(u8, u16, u32, usize);

impl Codec for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        self.cast_unsigned().put(out);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        u64::get(from).map(u64::cast_signed)
    }
}

impl Codec for bool {
    fn put(&self, out: &mut Vec<u8>) {
        u64::from(*self).put(out);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        Some(u64::get(from)? != 0)
    }
}

impl Codec for String {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let length = usize::get(from)?;
        String::from_utf8(from.split_off(..length)?.to_vec()).ok()
    }
}

impl<T: Codec> Codec for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        self.iter().for_each(|item| item.put(out));
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let length = usize::get(from)?;
        (0..length).map(|_| T::get(from)).collect()
    }
}

impl<T: Codec> Codec for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        self.iter().for_each(|item| item.put(out));
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        Some(if bool::get(from)? { Some(T::get(from)?) } else { None })
    }
}

impl<A: Codec, B: Codec> Codec for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        Some((A::get(from)?, B::get(from)?))
    }
}

impl<K: Codec + Ord, V: Codec> Codec for BTreeMap<K, V> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        for (key, value) in self {
            key.put(out);
            value.put(out);
        }
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let length = usize::get(from)?;
        (0..length).map(|_| Some((K::get(from)?, V::get(from)?))).collect()
    }
}

/// Enums without fields, by their index in `ALL`.
macro_rules! by_index {
    ($($type:ty),*) => {$(
        impl $crate::process::codec::Codec for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let index = <$type>::ALL.iter().position(|one| one == self);
                let index = index.expect("[mallory bug] ALL lacks a variant");
                $crate::process::codec::Codec::put(&index, out);
            }

            fn get(from: &mut &[u8]) -> Option<Self> {
                let index: usize = $crate::process::codec::Codec::get(from)?;
                <$type>::ALL.get(index).copied()
            }
        }
    )*};
}
pub(crate) use by_index;
by_index!(End, Kind, Op, Outcome, Role);

impl Codec for Moment {
    fn put(&self, out: &mut Vec<u8>) {
        let (tag, n) = match self {
            Moment::Allocation(n) => (0_u64, *n),
            Moment::Event(n) => (1, *n),
            Moment::Foreign(n) => (2, *n),
            Moment::Panic => (3, 0),
            Moment::Step(n) => (4, *n),
            Moment::Death => (5, 0),
            Moment::Access(n) => (6, *n),
            Moment::UnknownFree(n) => (7, *n),
        };
        (tag, n).put(out);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let (tag, n) = <(u64, u64)>::get(from)?;
        Some(match tag {
            0 => Moment::Allocation(n),
            1 => Moment::Event(n),
            2 => Moment::Foreign(n),
            3 => Moment::Panic,
            4 => Moment::Step(n),
            5 => Moment::Death,
            6 => Moment::Access(n),
            7 => Moment::UnknownFree(n),
            _ => return None,
        })
    }
}

/// Implements `Codec` for a struct, field by field.
macro_rules! codec_struct {
    ($type:path { $($field:ident),* $(,)? }) => {
        impl $crate::process::codec::Codec for $type {
            fn put(&self, out: &mut Vec<u8>) {
                $($crate::process::codec::Codec::put(&self.$field, out);)*
            }

            fn get(from: &mut &[u8]) -> Option<Self> {
                $(let $field = $crate::process::codec::Codec::get(from)?;)*
                Some(Self { $($field),* })
            }
        }
    };
}
pub(crate) use codec_struct;

codec_struct!(Coordinate { thread, ordinal });
codec_struct!(BlockInfo { number, size, align, heap });
codec_struct!(Evidence { kind, block, steps, labels, notes, operation });
codec_struct!(Injected { at, op, size, heap, event });
codec_struct!(Frame { function, place, module });
codec_struct!(Site { frames, c_call });
codec_struct!(Preemption { thread, point, to });
codec_struct!(ScheduledOp { step, thread, point, what });
codec_struct!(FoundSchedule { preemptions, seen, of, pair, notes });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_in_pieces_and_a_cut_one_is_none() {
        let block = BlockInfo { number: 17, size: 96, align: 8, heap: "main".into() };
        let sent = Evidence::new(Kind::DoubleFree)
            .about(block)
            .step(Role::SecondFree, Moment::Event(9))
            .note("a note");
        let bytes = message(&sent);
        let mut buffer = Vec::new();
        for byte in &bytes[..bytes.len() - 1] {
            buffer.push(*byte);
            assert!(next_message(&mut buffer).is_none());
        }
        buffer.push(bytes[bytes.len() - 1]);
        buffer.extend_from_slice(&bytes[..5]);
        let body = next_message(&mut buffer).expect("whole");
        assert_eq!(unpack::<Evidence>(&body), Some(sent));
        assert_eq!(buffer.len(), 5);
        for cut in 0..body.len() {
            assert_eq!(unpack::<Evidence>(&body[..cut]), None);
        }
    }
}
