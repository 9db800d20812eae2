//! The manager: containers, and all memory that is kept for them.

use std::hash::Hasher;
use std::ops::Range;

use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::cache::SpecCache;
use super::container::{CONTAINER_BYTES, Container, LOG_BUFFERS, block_bytes};
use super::error_context::ErrorContext;
use super::host::{Host, Resource};
use super::limits::Limits;
use super::managed::ManagedResource;
use super::metrics::{Held, Metrics, ratio};
use super::operation::{ENV_MAX, ID_MAX, Json, LOG_MAX, Op, Refusal, Reply, State};
use super::parse::{self, Spec};
use super::pressure::Level;
use super::tracker::{Owner, Tracker};
use crate::memory::blocks::{BUFFER_BYTES, STRING_BLOCK, STRING_BLOCKS};
use crate::memory::bytes::{Appending, Bytes, refused, try_with_capacity};
use crate::memory::hash::Fnv;
use crate::memory::{Buffer, Pool, PoolString, RequestArena, Reusable, StringPool};

/// The most buffers that wait in their pool.
pub(super) const BUFFERS: usize = 256;
/// When a container goes, one block is kept waiting for this many that are lent.
const WAITING_SHARE: usize = 32;

/// What a step returns that may not be done: the inner error is a reply, not a failure.
type Done<T> = Result<Result<T, Refusal>, Refused>;

/// The manager.
pub struct MemoryManager {
    heap: Heap,
    pub(super) containers: Vec<Box<Container, Heap>, Heap>,
    pub(super) host: Host,
    container_arena: RequestArena,
    network_arena: RequestArena,
    configuration_arena: RequestArena,
    strings: StringPool,
    buffers: Pool<Buffer>,
    cache: SpecCache,
    pub(super) tracker: Tracker,
    pub(super) name: Option<PoolString>,
    pub(super) limits: Limits,
    pub(super) operations: usize,
    retries: usize,
}

/// Resets an arena when an operation ends, however it ends.
fn cleaned(arena: &mut RequestArena) -> ManagedResource<&mut RequestArena> {
    ManagedResource::new(arena, |arena| arena.reset())
}

impl MemoryManager {
    /// A manager on this heap without containers; takes no memory of the heap yet.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        MemoryManager {
            heap: heap.clone(),
            containers: Vec::new_in(heap.clone()),
            host: Host::default(),
            container_arena: RequestArena::new(heap),
            network_arena: RequestArena::new(heap),
            configuration_arena: RequestArena::new(heap),
            strings: StringPool::new(heap),
            buffers: Pool::new(heap, BUFFERS),
            cache: SpecCache::new(heap),
            tracker: Tracker::default(),
            name: None,
            limits: Limits::default(),
            operations: 0,
            retries: 0,
        }
    }

    /// Does an operation. If there is no memory for it, gives up what can be made again and makes
    /// one more attempt.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory even so; nothing has changed then.
    pub fn handle(&mut self, op: &Op) -> Result<Reply<Json>, Refused> {
        let done = match self.attempt(op) {
            Err(Refused) if self.evict(0) > 0 => {
                self.retries += 1;
                self.attempt(op)
            }
            done => done,
        };
        let reply = done?;
        self.operations += 1;
        Ok(reply)
    }

    /// How many operations were done in a second attempt. A diagnostic, not part of the state.
    #[must_use]
    pub fn retries(&self) -> usize {
        self.retries
    }

    fn attempt(&mut self, op: &Op) -> Result<Reply<Json>, Refused> {
        let done = match op {
            Op::Create { id, spec } => self.create(id, spec)?,
            Op::Start { id } => self.start(id)?,
            Op::Exec { id, command, times } => self.exec(id, command, usize::from(*times))?,
            Op::Log { id, text, times } => self.log(id, text, usize::from(*times))?,
            Op::Stop { id } => self.stop(id),
            Op::Destroy { id } => self.destroy(id),
            Op::Reload(text) => self.reload(text)?,
            Op::Pressure(percent) => Ok(self.pressure(usize::from(*percent))),
            Op::Metrics => Ok(self.metrics_json()?),
        };
        Ok(done.unwrap_or_else(Reply::Refused))
    }

    /// Gives up all but this many cached specifications, and what waits in pools; returns how much
    /// that was.
    fn evict(&mut self, specs: usize) -> usize {
        self.cache.shrink(specs) + self.strings.trim(0) + self.buffers.trim(0)
    }

    /// How much pressure there is.
    #[must_use]
    pub fn level(&self) -> Level {
        self.limits.level(self.tracker.total().live)
    }

    fn find(&self, id: &str) -> Result<usize, Refusal> {
        let is_it = |container: &Box<Container, Heap>| *container.id == *id.as_bytes();
        self.containers.iter().position(is_it).ok_or(Refusal::Unknown)
    }

    fn create(&mut self, id: &str, text: &str) -> Done<Reply<Json>> {
        if id.is_empty() || id.len() > ID_MAX {
            return Ok(Err(Refusal::Length));
        }
        if self.find(id).is_ok() {
            return Ok(Err(Refusal::Exists));
        }
        if self.level() == Level::Emergency {
            return Ok(Err(Refusal::Emergency));
        }
        let spec = match self.spec(text)? {
            Ok(spec) => spec,
            Err(line) => return Ok(Err(Refusal::Line(line))),
        };
        let limit = self.limits.of_container(spec.limit);
        let texts = spec.env().iter().chain([&spec.image]).map(Range::len).chain([id.len()]);
        let bytes = CONTAINER_BYTES + texts.map(block_bytes).sum::<usize>();
        if let Err(refusal) = self.limits.allow((0, limit), self.tracker.total().live, bytes) {
            return Ok(Err(refusal));
        }

        let arena = cleaned(&mut self.container_arena);
        let mut taken = ErrorContext::new(&mut self.host, arena.scope());
        let Some(Resource::Address(address)) = taken.take(Host::address)? else {
            return Ok(Err(Refusal::Host));
        };
        let Some(Resource::Group(group)) = taken.take(Host::group)? else {
            return Ok(Err(Refusal::Host));
        };
        let copy = |place: &Range<usize>| self.strings.copy(&text.as_bytes()[place.clone()]);
        let mut env = [const { None }; ENV_MAX];
        for (variable, place) in env.iter_mut().zip(spec.env()) {
            *variable = Some(copy(place)?);
        }
        let container = Container {
            id: self.strings.copy(id.as_bytes())?,
            image: copy(&spec.image)?,
            env,
            interface: None,
            log: [const { None }; LOG_BUFFERS],
            state: State::Created,
            address,
            group,
            limit,
        };
        self.containers.try_reserve(1).map_err(refused)?;
        let container = Box::try_new_in(container, self.heap.clone()).map_err(refused)?;

        // Nothing fails from here on: the container owns what was taken.
        taken.succeed();
        for block in container.blocks() {
            self.tracker.allocated(Owner::Containers, block);
        }
        self.containers.push(container);
        Ok(Ok(Reply::Created { address, group }))
    }

    /// The specification that this text is, read once if there is memory to keep it.
    fn spec(&mut self, text: &str) -> Result<Result<Spec, usize>, Refused> {
        if let Some(spec) = self.cache.get(text) {
            return Ok(Ok(spec));
        }
        let arena = cleaned(&mut self.container_arena);
        let spec = parse::spec(text, &arena)?;
        if let Ok(spec) = &spec {
            // The cache is a convenience: without memory for it the text is read again next time.
            let _ = self.cache.keep(text, spec);
        }
        Ok(spec)
    }

    fn start(&mut self, id: &str) -> Done<Reply<Json>> {
        let place = match self.find(id) {
            Ok(place) => place,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let container = &self.containers[place];
        let allowed = match container.state {
            State::Running => Err(Refusal::Is(State::Running)),
            _ if self.level() == Level::Emergency => Err(Refusal::Emergency),
            _ => self.limits.allow(container.load(), self.tracker.total().live, STRING_BLOCK),
        };
        if let Err(refusal) = allowed {
            return Ok(Err(refusal));
        }
        let arena = cleaned(&mut self.network_arena);
        let interface = arena.alloc_fmt(format_args!("veth{}", container.address))?;
        let interface = self.strings.copy(interface.as_bytes())?;
        let container = &mut self.containers[place];
        container.interface = Some(interface);
        container.state = State::Running;
        self.tracker.allocated(Owner::Network, STRING_BLOCK);
        Ok(Ok(Reply::Now(State::Running)))
    }

    /// Streams a command's output through one buffer, as a client would receive it.
    fn exec(&mut self, id: &str, command: &str, times: usize) -> Done<Reply<Json>> {
        let state = self.find(id).map(|place| self.containers[place].state);
        let allowed = match state {
            Err(refusal) => Err(refusal),
            Ok(State::Running) if self.level() == Level::Emergency => Err(Refusal::Emergency),
            Ok(State::Running) => Ok(()),
            Ok(state) => Err(Refusal::Is(state)),
        };
        if let Err(refusal) = allowed {
            return Ok(Err(refusal));
        }
        let arena = cleaned(&mut self.network_arena);
        let line = arena.alloc_str(command)?.as_bytes();
        let mut buffer = self.buffers.take()?;
        let (mut bytes, mut checksum) = (0, Fnv::default());
        for _ in 0..times {
            let mut rest = line;
            while !rest.is_empty() {
                rest = buffer.fill(rest);
                if buffer.len() == BUFFER_BYTES {
                    checksum.write(&buffer);
                    buffer.reset();
                }
            }
            bytes += line.len();
        }
        checksum.write(&buffer);
        self.tracker.allocated(Owner::Network, BUFFER_BYTES);
        self.tracker.freed(Owner::Network, BUFFER_BYTES);
        Ok(Ok(Reply::Output { bytes, checksum: checksum.sum() }))
    }

    fn log(&mut self, id: &str, text: &str, times: usize) -> Done<Reply<Json>> {
        let place = match self.find(id) {
            Ok(place) => place,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let length = text.len().saturating_mul(times);
        if length > LOG_MAX {
            return Ok(Err(Refusal::Length));
        }
        let container = &self.containers[place];
        let fresh = length.saturating_sub(container.log_room()).div_ceil(BUFFER_BYTES);
        let kept = (container.log_buffers() + fresh).min(LOG_BUFFERS);
        let more = (kept - container.log_buffers()) * BUFFER_BYTES;
        if let Err(refusal) = self.limits.allow(container.load(), self.tracker.total().live, more) {
            return Ok(Err(refusal));
        }
        let arena = cleaned(&mut self.network_arena);
        let mut buffers = try_with_capacity(fresh, arena.scope())?;
        for _ in 0..fresh {
            buffers.push(self.buffers.take()?);
        }

        // Nothing fails from here on.
        let container = &mut self.containers[place];
        let mut buffers = buffers.into_iter();
        for _ in 0..times {
            container.append(text.as_bytes(), &mut buffers, &mut self.tracker);
        }
        Ok(Ok(Reply::Logged(container.log_bytes())))
    }

    fn stop(&mut self, id: &str) -> Result<Reply<Json>, Refusal> {
        let place = self.find(id)?;
        let container = &mut self.containers[place];
        if container.state != State::Running {
            return Err(Refusal::Is(container.state));
        }
        container.state = State::Stopped;
        if let Some(interface) = container.interface.take() {
            self.tracker.freed(Owner::Network, block_bytes(interface.len()));
        }
        Ok(Reply::Now(State::Stopped))
    }

    fn destroy(&mut self, id: &str) -> Result<Reply<Json>, Refusal> {
        let place = self.find(id)?;
        let state = self.containers[place].state;
        if state == State::Running {
            return Err(Refusal::Is(state));
        }
        let mut container = self.containers.swap_remove(place);
        let log = container.drop_log(&mut self.tracker);
        for block in container.blocks() {
            self.tracker.freed(Owner::Containers, block);
        }
        self.host.release(Resource::Group(container.group));
        self.host.release(Resource::Address(container.address));
        // Its blocks go to their pools, which keep a share of what is lent.
        drop(container);
        self.strings.trim(self.strings.stats().lent / WAITING_SHARE);
        self.buffers.trim(self.buffers.stats().lent / WAITING_SHARE);
        Ok(Reply::Destroyed(log))
    }

    fn reload(&mut self, text: &str) -> Done<Reply<Json>> {
        let arena = cleaned(&mut self.configuration_arena);
        let settings = match parse::settings(text, &arena)? {
            Ok(settings) => settings,
            Err(line) => return Ok(Err(Refusal::Line(line))),
        };
        let name = &text.as_bytes()[settings.name];
        let name = if name.is_empty() { None } else { Some(self.strings.copy(name)?) };
        if let Some(old) = &self.name {
            self.tracker.freed(Owner::Configuration, block_bytes(old.len()));
        }
        if let Some(new) = &name {
            self.tracker.allocated(Owner::Configuration, block_bytes(new.len()));
        }
        self.name = name;
        self.limits.configure(settings.container_limit, settings.daemon_limit);
        Ok(Ok(Reply::Reloaded))
    }

    fn pressure(&mut self, percent: usize) -> Reply<Json> {
        self.limits.percent = percent.min(100);
        let level = self.level();
        let mut dropped = 0;
        match level {
            Level::Normal => {}
            Level::Elevated => {
                let half = self.cache.len() / 2;
                self.cache.shrink(half);
            }
            Level::High => {
                self.evict(0);
            }
            Level::Emergency => {
                for container in &mut self.containers {
                    if container.state == State::Stopped {
                        dropped += container.drop_log(&mut self.tracker);
                    }
                }
                self.evict(0);
            }
        }
        Reply::Pressure(level, dropped)
    }

    /// The metrics, apart from what is held.
    fn tracked(&self) -> Metrics {
        let running = |container: &&Box<Container, Heap>| container.state == State::Running;
        let lent = self.strings.stats().lent * STRING_BLOCK;
        let lent = lent + self.buffers.stats().lent * BUFFER_BYTES;
        let kept = STRING_BLOCKS * STRING_BLOCK + BUFFERS * BUFFER_BYTES;
        Metrics {
            active_containers: self.containers.iter().filter(running).count(),
            pool_utilization: ratio(lent, kept),
            ..Metrics::of_tracker(&self.tracker, self.operations)
        }
    }

    /// The metrics. What is held is all that is live on the manager's heap.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let bytes = self.heap.live_bytes();
        let used = self.tracker.total().live + self.cache.bytes();
        let fragmentation_ratio = ratio(bytes.saturating_sub(used), bytes);
        Metrics { held: Some(Held { bytes, fragmentation_ratio }), ..self.tracked() }
    }

    fn metrics_json(&self) -> Result<Reply<Json>, Refused> {
        let mut text = Vec::new_in(self.heap.clone());
        self.tracked().write_json(Appending(&mut text)).map_err(refused)?;
        Ok(Reply::Metrics(Bytes(text)))
    }
}
