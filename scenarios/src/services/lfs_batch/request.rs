//! Requests: from the JSON of a client to checked values.
//!
//! A request is checked in two steps, so that the order of its members doesn't decide which error
//! is reported: first the whole text is read, then the members are checked in the protocol's order.
//! Unknown members are skipped, of repeated members the last counts, and `null` means missing.

use allocator_api2::vec::Vec;
use mallory::Heap;

use super::fault::{Error, Fault, MAX_BYTES, MAX_OBJECTS, Place};
use super::json_reader::{self, JsonReader, Value};
use crate::memory::bytes::{try_push, try_with_capacity};

/// What a client may want of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// To send objects.
    Upload,
    /// To get objects.
    Download,
}

/// A batch request.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    /// What is wanted.
    pub operation: Operation,
    /// The ref that the objects belong to.
    pub reference: Option<&'a str>,
    /// The objects, as named by the client.
    pub objects: Vec<Wanted<'a>, &'a Heap>,
}

/// An object that a client names. Its id is checked when the response is made.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// The id, unchecked.
    pub oid: &'a str,
    /// Bytes.
    pub size: u64,
}

/// Reads a batch request.
///
/// # Errors
/// What is wrong with it, or out of memory.
pub(super) fn batch<'a>(request: &'a [u8], arena: &'a Heap) -> Result<Batch<'a>, Error> {
    let mut operation = Member::Missing;
    let mut transfers = Member::Missing;
    let mut reference = Member::Missing;
    let mut objects = Member::Missing;
    let mut hash = Member::Missing;
    read(request, arena, |reader, key| {
        match key {
            "operation" => operation = text(reader)?,
            "transfers" => transfers = offers_basic(reader)?,
            "ref" => reference = name(reader)?,
            "objects" => objects = list(reader, arena)?,
            "hash_algo" => hash = text(reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;

    let place = Place::Member("operation");
    let operation = match operation.required(place, "not a string")? {
        "upload" => Operation::Upload,
        "download" => Operation::Download,
        _ => return Err(invalid(place, "neither upload nor download")),
    };
    let place = Place::Member("transfers");
    if transfers.optional(place, "not a list of strings")? == Some(false) {
        return Err(invalid(place, "only basic is served"));
    }
    let reference = reference.optional(Place::Member("ref"), "not an object with a name")?;
    let hash = hash.optional(Place::Member("hash_algo"), "not a string")?;
    if hash.is_some_and(|hash| hash != "sha256") {
        return Err(Error::Fault(Fault::HashAlgorithm));
    }
    let items = objects.required(Place::Member("objects"), "not a list")?;
    if items.len() > MAX_OBJECTS {
        return Err(Error::Fault(Fault::TooMany));
    }
    let mut objects = try_with_capacity(items.len(), arena)?;
    for (nth, item) in items.into_iter().enumerate() {
        let item = item.required(Place::Object(nth), "not an object")?;
        try_push(&mut objects, item.check(|name| Place::ObjectMember(nth, name))?)?;
    }
    Ok(Batch { operation, reference, objects })
}

/// Reads a verify request, which names one object.
///
/// # Errors
/// What is wrong with it, or out of memory.
pub(super) fn verify<'a>(request: &'a [u8], arena: &'a Heap) -> Result<Wanted<'a>, Error> {
    let mut item = Item::new();
    read(request, arena, |reader, key| item.member(reader, key))?;
    item.check(Place::Member)
}

/// Reads a text that is one object, member by member.
fn read<'a>(
    request: &'a [u8],
    arena: &'a Heap,
    member: impl FnMut(&mut JsonReader<'a>, &str) -> Result<(), json_reader::ReadError>,
) -> Result<(), Error> {
    if request.len() > MAX_BYTES {
        return Err(Error::Fault(Fault::TooLong));
    }
    let text = std::str::from_utf8(request)
        .map_err(|error| Error::Fault(Fault::NotUtf8(error.valid_up_to())))?;
    let mut reader = JsonReader::new(text, arena);
    let value = reader.value()?;
    let is_object = value == Value::Object;
    if is_object {
        reader.members(member)?;
    } else {
        reader.skip_rest(value)?;
    }
    reader.end()?;
    if is_object { Ok(()) } else { Err(invalid(Place::Request, "not an object")) }
}

fn invalid(place: Place, problem: &'static str) -> Error {
    Error::Fault(Fault::Invalid(place, problem))
}

/// A member as it was found, to be judged once all of them are read.
#[derive(Debug)]
enum Member<T> {
    Missing,
    Wrong,
    Is(T),
}

impl<T> Member<T> {
    fn optional(self, place: Place, expected: &'static str) -> Result<Option<T>, Error> {
        match self {
            Member::Missing => Ok(None),
            Member::Wrong => Err(invalid(place, expected)),
            Member::Is(value) => Ok(Some(value)),
        }
    }

    fn required(self, place: Place, expected: &'static str) -> Result<T, Error> {
        self.optional(place, expected)?.ok_or(invalid(place, "missing"))
    }
}

type Found<'a, T> = Result<Member<T>, json_reader::ReadError>;

/// A value that is none of those expected: read to its end, and wrong unless it is `null`.
fn other<'a, T>(reader: &mut JsonReader<'a>, value: Value<'a>) -> Found<'a, T> {
    reader.skip_rest(value)?;
    Ok(if value == Value::Null { Member::Missing } else { Member::Wrong })
}

fn text<'a>(reader: &mut JsonReader<'a>) -> Found<'a, &'a str> {
    match reader.value()? {
        Value::String(text) => Ok(Member::Is(text)),
        value => other(reader, value),
    }
}

/// A whole number that is not negative.
fn whole<'a>(reader: &mut JsonReader<'a>) -> Found<'a, u64> {
    match reader.value()? {
        Value::Number(digits) => Ok(digits.parse().map_or(Member::Wrong, Member::Is)),
        value => other(reader, value),
    }
}

/// `ref`: an object with a name.
fn name<'a>(reader: &mut JsonReader<'a>) -> Found<'a, &'a str> {
    let value = reader.value()?;
    if value != Value::Object {
        return other(reader, value);
    }
    let mut name = Member::Wrong;
    reader.members(|reader, key| {
        if key != "name" {
            return reader.skip();
        }
        name = match text(reader)? {
            Member::Missing => Member::Wrong,
            found => found,
        };
        Ok(())
    })?;
    Ok(name)
}

/// `transfers`: whether the basic one is among them. An empty list is as good as none.
fn offers_basic<'a>(reader: &mut JsonReader<'a>) -> Found<'a, bool> {
    let value = reader.value()?;
    if value != Value::Array {
        return other(reader, value);
    }
    let (mut strings, mut any, mut basic) = (true, false, false);
    reader.items(|reader| {
        any = true;
        match text(reader)? {
            Member::Is(transfer) => basic |= transfer == "basic",
            _ => strings = false,
        }
        Ok(())
    })?;
    Ok(if strings { Member::Is(basic || !any) } else { Member::Wrong })
}

/// `objects`, up to one more than a request may have; the rest is read and dropped.
fn list<'a>(
    reader: &mut JsonReader<'a>,
    arena: &'a Heap,
) -> Found<'a, Vec<Member<Item<'a>>, &'a Heap>> {
    let value = reader.value()?;
    if value != Value::Array {
        return other(reader, value);
    }
    let mut items = Vec::new_in(arena);
    reader.items(|reader| {
        let item = Item::read(reader)?;
        if items.len() <= MAX_OBJECTS {
            try_push(&mut items, item)?;
        }
        Ok(())
    })?;
    Ok(Member::Is(items))
}

/// An object's members as they were found.
#[derive(Debug)]
struct Item<'a> {
    oid: Member<&'a str>,
    size: Member<u64>,
}

impl<'a> Item<'a> {
    fn new() -> Self {
        Item { oid: Member::Missing, size: Member::Missing }
    }

    fn read(reader: &mut JsonReader<'a>) -> Found<'a, Item<'a>> {
        let value = reader.value()?;
        if value != Value::Object {
            return other(reader, value);
        }
        let mut item = Item::new();
        reader.members(|reader, key| item.member(reader, key))?;
        Ok(Member::Is(item))
    }

    fn member(
        &mut self,
        reader: &mut JsonReader<'a>,
        key: &str,
    ) -> Result<(), json_reader::ReadError> {
        match key {
            "oid" => self.oid = text(reader)?,
            "size" => self.size = whole(reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn check(self, place: impl Fn(&'static str) -> Place) -> Result<Wanted<'a>, Error> {
        let oid = self.oid.required(place("oid"), "not a string")?;
        let size = self.size.required(place("size"), "not a whole number")?;
        Ok(Wanted { oid, size })
    }
}
