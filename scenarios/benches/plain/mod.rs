//! Copies of the intern table (`src/memory/intern.rs`) and its subject
//! (`src/concurrent/intern.rs`), on the global allocator and on a model checker's own types: the
//! same locks in the same order, the same look-ups, insertions and checks.

macro_rules! plain {
    ($name:ident, $model:ident) => {
        #[doc = concat!("With the types of ", stringify!($model), ".")]
        pub(crate) mod $name {
            use std::cmp::Ordering;
            use std::mem;

            use hashbrown::HashTable;
            use mallory_scenarios::memory::hash::hash;
            use $model::sync::{Arc, Mutex, MutexGuard};
            use $model::thread;

            const SHARDS: usize = 8;
            const NONE: u32 = u32::MAX;
            const TEXTS: [&str; 2] = ["src/lib.rs", "src/main.rs"];

            #[derive(Clone, Copy)]
            struct Handle {
                place: u32,
                age: u32,
            }

            impl Handle {
                fn shard(self) -> usize {
                    self.place as usize % SHARDS
                }

                fn slot(self) -> usize {
                    self.place as usize / SHARDS
                }
            }

            #[derive(Clone, Copy, Default)]
            struct Stats {
                strings: usize,
                bytes: usize,
                saved_strings: usize,
                saved_bytes: usize,
            }

            struct Slot {
                bytes: Vec<u8>,
                hash: u64,
                references: u32,
                age: u32,
                next_free: u32,
            }

            struct Shard {
                index: HashTable<u32>,
                slots: Vec<Slot>,
                first_free: u32,
                stats: Stats,
            }

            impl Shard {
                fn insert(&mut self, hash: u64, text: &[u8]) -> u32 {
                    let fresh =
                        Slot { bytes: text.to_vec(), hash, references: 1, age: 0, next_free: NONE };
                    let number = if self.first_free == NONE {
                        self.slots.push(fresh);
                        (self.slots.len() - 1) as u32
                    } else {
                        let number = self.first_free;
                        let slot = &mut self.slots[number as usize];
                        self.first_free = slot.next_free;
                        *slot = Slot { age: slot.age, ..fresh };
                        number
                    };
                    let slots = &self.slots;
                    self.index.insert_unique(hash, number, |slot| slots[*slot as usize].hash);
                    self.stats.strings += 1;
                    self.stats.bytes += text.len();
                    number
                }

                fn remove(&mut self, number: u32) -> Vec<u8> {
                    let slot = &mut self.slots[number as usize];
                    if let Ok(entry) = self.index.find_entry(slot.hash, |other| *other == number) {
                        entry.remove();
                    }
                    slot.age = slot.age.wrapping_add(1);
                    slot.next_free = mem::replace(&mut self.first_free, number);
                    self.stats.strings -= 1;
                    self.stats.bytes -= slot.bytes.len();
                    mem::take(&mut slot.bytes)
                }

                fn slot_mut(&mut self, handle: Handle) -> Option<&mut Slot> {
                    let slot = self.slots.get_mut(handle.slot())?;
                    (slot.age == handle.age && slot.references != 0).then_some(slot)
                }

                fn text(&self, handle: Handle) -> Option<&[u8]> {
                    let slot = self.slots.get(handle.slot())?;
                    (slot.age == handle.age && slot.references != 0).then_some(&slot.bytes)
                }
            }

            struct Table {
                shards: [Mutex<Shard>; SHARDS],
            }

            impl Table {
                fn new() -> Table {
                    let shard = |_| {
                        Mutex::new(Shard {
                            index: HashTable::new(),
                            slots: Vec::new(),
                            first_free: NONE,
                            stats: Stats::default(),
                        })
                    };
                    Table { shards: std::array::from_fn(shard) }
                }

                fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
                    self.shards[shard].lock().expect("no panic")
                }

                fn acquire(&self, text: &str) -> Handle {
                    let text = text.as_bytes();
                    let hash = hash(text);
                    let number = (hash >> 32) as usize % SHARDS;
                    let mut shard = self.lock(number);
                    let Shard { index, slots, stats, .. } = &mut *shard;
                    let found = index.find(hash, |slot| slots[*slot as usize].bytes == text);
                    let slot = match found.copied() {
                        Some(slot) => {
                            slots[slot as usize].references += 1;
                            stats.saved_strings += 1;
                            stats.saved_bytes += text.len();
                            slot
                        }
                        None => shard.insert(hash, text),
                    };
                    let place = slot * SHARDS as u32 + number as u32;
                    Handle { place, age: shard.slots[slot as usize].age }
                }

                fn retain(&self, handle: Handle) -> bool {
                    let mut shard = self.lock(handle.shard());
                    let slot = shard.slot_mut(handle);
                    slot.map(|slot| slot.references += 1).is_some()
                }

                fn release(&self, handle: Handle) -> bool {
                    let mut shard = self.lock(handle.shard());
                    let Some(slot) = shard.slot_mut(handle) else { return false };
                    slot.references -= 1;
                    if slot.references == 0 {
                        let bytes = shard.remove(handle.slot() as u32);
                        drop(shard);
                        drop(bytes);
                    }
                    true
                }

                fn is(&self, handle: Handle, text: &[u8]) -> bool {
                    self.lock(handle.shard()).text(handle).is_some_and(|bytes| bytes == text)
                }

                fn compare(&self, left: Handle, right: Handle) -> Ordering {
                    let (of_left, of_right) = (left.shard(), right.shard());
                    let lower = self.lock(of_left.min(of_right));
                    match of_left.cmp(&of_right) {
                        Ordering::Equal => lower.text(left).cmp(&lower.text(right)),
                        Ordering::Less => lower.text(left).cmp(&self.lock(of_right).text(right)),
                        Ordering::Greater => self.lock(of_left).text(left).cmp(&lower.text(right)),
                    }
                }

                fn for_each(&self, mut visit: impl FnMut(&[u8], u32)) {
                    for number in 0..SHARDS {
                        let shard = self.lock(number);
                        for slot in shard.slots.iter().filter(|slot| slot.references != 0) {
                            visit(&slot.bytes, slot.references);
                        }
                    }
                }

                fn stats(&self) -> Stats {
                    let each = (0..SHARDS).map(|number| self.lock(number).stats);
                    each.fold(Stats::default(), |sum, of| Stats {
                        strings: sum.strings + of.strings,
                        bytes: sum.bytes + of.bytes,
                        saved_strings: sum.saved_strings + of.saved_strings,
                        saved_bytes: sum.saved_bytes + of.saved_bytes,
                    })
                }
            }

            type Holding = [Option<(Handle, u32)>; 2];

            fn work(table: &Table, first: usize) -> Holding {
                let second = 1 - first;
                let mut holding = [None; 2];
                let one = table.acquire(TEXTS[first]);
                let two = table.acquire(TEXTS[second]);
                assert_eq!(table.compare(one, two), TEXTS[first].cmp(TEXTS[second]));
                assert!(table.retain(one) && table.release(two));
                holding[first] = Some((one, 2));
                holding
            }

            /// Two threads.
            pub(crate) fn two() {
                let table = Arc::new(Table::new());
                let theirs = Arc::clone(&table);
                let other = thread::spawn(move || work(&theirs, 1));
                let mine = work(&table, 0);
                let other = other.join().expect("no panic");
                let holdings = [other, mine];
                let mut held = [0; 2];
                for holding in &holdings {
                    for (text, holding) in holding.iter().enumerate() {
                        if let Some((handle, references)) = holding {
                            assert!(table.is(*handle, TEXTS[text].as_bytes()), "a string is lost");
                            held[text] += references;
                        }
                    }
                }
                let (mut found, mut copies) = ([0; 2], [0; 2]);
                table.for_each(|bytes, references| {
                    let text = TEXTS.iter().position(|text| text.as_bytes() == bytes);
                    let text = text.expect("a string that nobody took");
                    found[text] += references;
                    copies[text] += 1;
                });
                assert_eq!(found, held, "the counts are right, over all copies");
                assert!(copies.iter().all(|copies| *copies <= 1), "a string has two copies");
                for (handle, references) in holdings.into_iter().flatten().flatten() {
                    assert!((0..references).all(|_| table.release(handle)));
                }
                assert_eq!((table.stats().strings, table.stats().bytes), (0, 0));
            }
        }
    };
}

#[cfg(feature = "shuttle")]
plain!(by_shuttle, shuttle);
#[cfg(feature = "loom")]
plain!(by_loom, loom);
