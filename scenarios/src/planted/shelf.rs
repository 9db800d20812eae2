//! The system `shelf`: boxes with labels. It is a minimal service, sound or with one of several
//! planted bugs. Each bug needs a certain sequence of operations, so reaching it is a test of the
//! generator of operations.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::marker::PhantomData;

use allocator_api2::collections::TryReserveError;
use allocator_api2::vec::Vec;
use arbitrary::{Arbitrary, Unstructured};
use mallory::system::World;
use mallory::{Heap, Kind, System};
use serde::{Deserialize, Serialize};

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Puts a box with this label on the shelf; it replaces the box that is there.
    Put {
        /// Where.
        place: u8,
        /// Its label.
        #[arbitrary(with = label)]
        label: String,
    },
    /// Takes a box away.
    Take {
        /// Where.
        place: u8,
    },
    /// Merges one box into another: its label is appended to the other's.
    Join {
        /// The place of the box that is emptied.
        from: u8,
        /// The place of the other box.
        into: u8,
    },
    /// Counts the boxes.
    Count,
}

fn label(u: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    let how = u.arbitrary::<u8>()?;
    if how >= 224 { u.arbitrary() } else { Ok("label"[..usize::from(how) % 6].to_owned()) }
}

/// Places on the shelf.
const PLACES: u8 = 8;

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no memory.
    OutOfMemory,
    /// The shelf is broken: never, if it is sound.
    Broken,
}

impl From<TryReserveError> for Error {
    fn from(_: TryReserveError) -> Self {
        Error::OutOfMemory
    }
}

/// What is wrong with a shelf.
pub trait Bug: 'static {
    /// Its name in scripts.
    const NAME: &'static str;
    /// The kind that it has to be reported as, if anything is wrong.
    const KIND: Option<Kind>;
}

macro_rules! faults {
    ($($(#[$about:meta])* $fault:ident $name:literal $kind:expr;)*) => {
        $(
            $(#[$about])*
            #[derive(Debug)]
            pub enum $fault {}

            impl Bug for $fault {
                const NAME: &'static str = $name;
                const KIND: Option<Kind> = $kind;
            }
        )*
    };
}

faults! {
    /// Nothing is wrong.
    Sound "shelf" None;
    /// A joined label is lost if there is no memory for the second block.
    Leaks "shelf-leak" Some(Kind::Leak);
    /// The emptied box is gone before there is memory for the joined label.
    Forgets "shelf-not-recovered" Some(Kind::NotRecovered);
    /// A label is left empty if there is no memory for it.
    Shortens "shelf-silent-wrong" Some(Kind::SilentWrong);
    /// A join without memory returns the error that the shelf is broken.
    Mistakes "shelf-wrong-error" Some(Kind::WrongError);
    /// A join without memory panics.
    Panics "shelf-panic" Some(Kind::Panic);
    /// A joined label of exactly eight bytes is written one byte too far.
    Overruns "shelf-heap-buffer-overflow" Some(Kind::HeapBufferOverflow);
    /// A box that is joined into itself is gone: wrong even without a failed request.
    Swallows "shelf-swallows" Some(Kind::SilentWrong);
    /// A join without memory aborts.
    Aborts "shelf-abort" Some(Kind::Abort);
}

type Label = Vec<u8, Heap>;

/// The system.
pub struct Shelf<F> {
    boxes: [Option<Label>; PLACES as usize],
    heap: Heap,
    fault: PhantomData<fn() -> F>,
}

impl<F: Bug> Shelf<F> {
    fn is(&self, kind: Kind) -> bool {
        F::KIND == Some(kind) && F::NAME != Swallows::NAME
    }

    fn copy(&self, text: &[u8]) -> Result<Label, TryReserveError> {
        let mut label = Vec::new_in(self.heap.clone());
        label.try_reserve_exact(text.len())?;
        label.extend_from_slice(text);
        Ok(label)
    }

    fn put(&mut self, place: usize, label: &str) -> Result<bool, Error> {
        let label = match self.copy(label.as_bytes()) {
            Err(_) if self.is(Kind::SilentWrong) => Vec::new_in(self.heap.clone()),
            label => label?,
        };
        Ok(self.boxes[place].replace(label).is_some())
    }

    fn joined(&self, into: &Label, from: &Label) -> Result<Label, Error> {
        let mut joined = Vec::new_in(self.heap.clone());
        match joined.try_reserve_exact(into.len() + from.len()) {
            Err(_) if self.is(Kind::WrongError) => return Err(Error::Broken),
            Err(error) if self.is(Kind::Panic) => panic!("there is no memory: {error}"),
            Err(_) if self.is(Kind::Abort) => std::process::abort(),
            reserved => reserved?,
        }
        joined.extend_from_slice(into);
        joined.extend_from_slice(from);
        if self.is(Kind::HeapBufferOverflow) && joined.len() == 8 {
            // SAFETY: none. It is one byte past the block, which is what is planted here; a
            // heap's guard bytes are there.
            unsafe { joined.as_mut_ptr().add(8).write(b'!') };
        }
        Ok(joined)
    }

    fn join(&mut self, from: usize, into: usize) -> Result<bool, Error> {
        if F::NAME == Swallows::NAME && from == into {
            return Ok(self.boxes[from].take().is_some());
        }
        let (Some(_), Some(_), true) = (&self.boxes[from], &self.boxes[into], from != into) else {
            return Ok(false);
        };
        let gone = if self.is(Kind::NotRecovered) { self.boxes[from].take() } else { None };
        let (Some(left), Some(right)) =
            (&self.boxes[into], gone.as_ref().or(self.boxes[from].as_ref()))
        else {
            return Ok(false);
        };
        let joined = self.joined(left, right)?;
        // A second block, for the shelf's own list of what was joined.
        let note = self.copy(b"joined");
        if note.is_err() && self.is(Kind::Leak) {
            std::mem::forget(joined);
            return Err(Error::OutOfMemory);
        }
        drop(note?);
        self.boxes[from] = None;
        self.boxes[into] = Some(joined);
        Ok(true)
    }
}

fn at(place: u8) -> usize {
    usize::from(place % PLACES)
}

impl<F: Bug> System for Shelf<F> {
    const NAME: &'static str = F::NAME;

    type Op = Op;
    /// How many boxes there are, or whether there was something to do.
    type Reply = usize;
    type Error = Error;
    type Model = BTreeMap<usize, String>;

    fn open(heap: &Heap, _: &World<'_>) -> Result<Self, Error> {
        let boxes = std::array::from_fn(|_| None);
        Ok(Shelf { boxes, heap: heap.clone(), fault: PhantomData })
    }

    fn apply(&mut self, op: &Op, _: &World<'_>) -> Result<usize, Error> {
        Ok(match op {
            Op::Put { place, label } => usize::from(self.put(at(*place), label)?),
            Op::Take { place } => usize::from(self.boxes[at(*place)].take().is_some()),
            Op::Join { from, into } => usize::from(self.join(at(*from), at(*into))?),
            Op::Count => self.boxes.iter().flatten().count(),
        })
    }

    fn is_oom(error: &Error) -> bool {
        *error == Error::OutOfMemory
    }

    fn snapshot(&self) -> BTreeMap<usize, String> {
        let boxes = self.boxes.iter().enumerate();
        let text = |label: &Label| String::from_utf8_lossy(label).into_owned();
        boxes.filter_map(|(place, label)| Some((place, text(label.as_ref()?)))).collect()
    }

    fn model(model: &mut BTreeMap<usize, String>, op: &Op, _: &World<'_>) -> impl Debug {
        match op {
            Op::Put { place, label } => {
                usize::from(model.insert(at(*place), label.clone()).is_some())
            }
            Op::Take { place } => usize::from(model.remove(&at(*place)).is_some()),
            Op::Join { from, into } => {
                let (from, into) = (at(*from), at(*into));
                let both = model.contains_key(&from) && model.contains_key(&into) && from != into;
                if both {
                    let gone = model.remove(&from).unwrap_or_default();
                    model.entry(into).or_default().push_str(&gone);
                }
                usize::from(both)
            }
            Op::Count => model.len(),
        }
    }
}
