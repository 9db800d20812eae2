//! The plain model: std's collections, and text.

use std::collections::BTreeMap;

use super::container::CONTAINER_BYTES;
use super::operation::{Op, Refusal, Reply, State};
use super::pressure::Level;
use crate::memory::bytes::Bytes;

/// What is known of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its image.
    pub image: String,
    /// Its variables.
    pub env: Vec<String>,
    /// Its network interface, while it runs.
    pub interface: Option<String>,
    /// Its log: parts of 4,096 bytes, but for the last.
    pub log: Vec<Vec<u8>>,
    /// What it does.
    pub state: State,
    /// Its address.
    pub address: u8,
    /// Its control group.
    pub group: u8,
    /// The most bytes that it may be counted with.
    pub limit: usize,
}

/// All that the manager keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The containers by id.
    pub containers: BTreeMap<String, Known>,
    /// Addresses and control groups that are in use.
    pub in_use: [usize; 2],
    /// The daemon's name.
    pub name: Option<String>,
    /// The limit of a container.
    pub container_limit: usize,
    /// The limit of all.
    pub daemon_limit: usize,
    /// The hundredths of that limit that there are just now.
    pub percent: usize,
    /// Live bytes and the most of them: of containers, network and configuration.
    pub owners: [(usize, usize); 3],
    /// The same in all.
    pub total: (usize, usize),
    /// Blocks allocated and freed.
    pub calls: (usize, usize),
    /// Operations done.
    pub operations: usize,
}

impl Default for Model {
    fn default() -> Self {
        Model {
            containers: BTreeMap::new(),
            in_use: [0; 2],
            name: None,
            container_limit: 1_048_576,
            daemon_limit: 209_715_200,
            percent: 100,
            owners: [(0, 0); 3],
            total: (0, 0),
            calls: (0, 0),
            operations: 0,
        }
    }
}

type Text = Bytes<Vec<u8>>;
type Answer = Result<Reply<Text>, Refusal>;

const CONTAINERS: usize = 0;
const NETWORK: usize = 1;
const CONFIGURATION: usize = 2;

fn block(text: &str) -> usize {
    if text.len() <= 256 { 256 } else { text.len() }
}

impl Known {
    fn own_blocks(&self, id: &str) -> Vec<usize> {
        let mut blocks = vec![CONTAINER_BYTES, block(id), block(&self.image)];
        blocks.extend(self.env.iter().map(|variable| block(variable)));
        blocks
    }

    fn bytes(&self, id: &str) -> usize {
        let interface = self.interface.as_deref().map_or(0, block);
        self.own_blocks(id).iter().sum::<usize>() + interface + 4096 * self.log.len()
    }
}

/// The keys and values of the lines before the first malformed one, and the number of that one.
fn upto(text: &str) -> (Vec<(usize, &str, &str)>, Option<usize>) {
    let mut pairs = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.is_empty() {
            continue;
        }
        let Some(equals) = line.find('=') else { return (pairs, Some(at + 1)) };
        let (key, value) = (&line[..equals], &line[equals + 1..]);
        if value.is_empty() || value.len() > 512 {
            return (pairs, Some(at + 1));
        }
        pairs.push((at + 1, key, value));
    }
    (pairs, None)
}

fn number(value: &str) -> Option<usize> {
    let number: u32 = value.parse().ok()?;
    if number == 0 { None } else { Some(number as usize) }
}

/// Image, limit and variables.
fn specification(text: &str) -> Result<(String, Option<usize>, Vec<String>), usize> {
    let (pairs, malformed) = upto(text);
    let (mut image, mut limit, mut env) = (None, None, Vec::new());
    for (at, key, value) in pairs {
        match key {
            "image" if image.is_none() => image = Some(value.to_owned()),
            "limit" => limit = Some(number(value).ok_or(at)?),
            "env" if value.contains('=') && env.len() < 8 => env.push(value.to_owned()),
            _ => return Err(at),
        }
    }
    match malformed {
        Some(at) => Err(at),
        None => Ok((image.ok_or(0_usize)?, limit, env)),
    }
}

impl Model {
    /// Does an operation.
    pub(super) fn handle(&mut self, op: &Op) -> Reply<Text> {
        let answer = match op {
            Op::Create { id, spec } => self.create(id, spec),
            Op::Start { id } => self.start(id),
            Op::Exec { id, command, times } => self.exec(id, &command.repeat((*times).into())),
            Op::Log { id, text, times } => self.log(id, text, usize::from(*times)),
            Op::Stop { id } => self.stop(id),
            Op::Destroy { id } => self.destroy(id),
            Op::Reload(text) => self.reload(text),
            Op::Pressure(percent) => Ok(self.pressure(*percent)),
            Op::Metrics => Ok(self.metrics()),
        };
        self.operations += 1;
        answer.unwrap_or_else(Reply::Refused)
    }

    fn count(&mut self, owner: usize, bytes: usize) {
        for (live, peak) in [&mut self.owners[owner], &mut self.total] {
            *live += bytes;
            *peak = (*peak).max(*live);
        }
        self.calls.0 += 1;
    }

    fn uncount(&mut self, owner: usize, bytes: usize) {
        self.owners[owner].0 -= bytes;
        self.total.0 -= bytes;
        self.calls.1 += 1;
    }

    fn there(&self) -> usize {
        self.daemon_limit / 100 * self.percent
    }

    fn level(&self) -> Level {
        let (live, there) = (self.total.0 * 100, self.there());
        match () {
            () if live >= there * 95 => Level::Emergency,
            () if live >= there * 85 => Level::High,
            () if live >= there * 70 => Level::Elevated,
            () => Level::Normal,
        }
    }

    fn fits(&self, own: usize, limit: usize, more: usize) -> Result<(), Refusal> {
        if own + more > limit {
            Err(Refusal::ContainerLimit)
        } else if self.total.0 + more > self.there() {
            Err(Refusal::DaemonLimit)
        } else {
            Ok(())
        }
    }

    /// The lowest number that no container has.
    fn lowest(&self, of: fn(&Known) -> u8) -> Option<u8> {
        (0..250).find(|number| self.containers.values().all(|known| of(known) != *number))
    }

    fn create(&mut self, id: &str, spec: &str) -> Answer {
        if id.is_empty() || id.len() > 256 {
            return Err(Refusal::Length);
        }
        if self.containers.contains_key(id) {
            return Err(Refusal::Exists);
        }
        if self.level() == Level::Emergency {
            return Err(Refusal::Emergency);
        }
        let (image, limit, env) = specification(spec).map_err(Refusal::Line)?;
        let limit = limit.map_or(self.container_limit, |limit| limit.min(self.container_limit));
        let (interface, log, state) = (None, Vec::new(), State::Created);
        let (address, group) =
            (self.lowest(|known| known.address), self.lowest(|known| known.group));
        let (slot, control) = (address.unwrap_or(0), group.unwrap_or(0));
        let known =
            Known { image, env, interface, log, state, address: slot, group: control, limit };
        let blocks = known.own_blocks(id);
        self.fits(0, limit, blocks.iter().sum())?;
        if address.is_none() || group.is_none() {
            return Err(Refusal::Host);
        }
        blocks.into_iter().for_each(|bytes| self.count(CONTAINERS, bytes));
        self.containers.insert(id.to_owned(), known);
        self.in_use = self.in_use.map(|count| count + 1);
        Ok(Reply::Created { address: slot, group: control })
    }

    fn known(&self, id: &str) -> Result<&Known, Refusal> {
        self.containers.get(id).ok_or(Refusal::Unknown)
    }

    fn start(&mut self, id: &str) -> Answer {
        let known = self.known(id)?;
        if known.state == State::Running {
            return Err(Refusal::Is(State::Running));
        }
        if self.level() == Level::Emergency {
            return Err(Refusal::Emergency);
        }
        self.fits(known.bytes(id), known.limit, 256)?;
        if let Some(known) = self.containers.get_mut(id) {
            known.state = State::Running;
            known.interface = Some(format!("veth{}", known.address));
        }
        self.count(NETWORK, 256);
        Ok(Reply::Now(State::Running))
    }

    fn exec(&mut self, id: &str, output: &str) -> Answer {
        let state = self.known(id)?.state;
        if state != State::Running {
            return Err(Refusal::Is(state));
        }
        if self.level() == Level::Emergency {
            return Err(Refusal::Emergency);
        }
        self.count(NETWORK, 4096);
        self.uncount(NETWORK, 4096);
        let mut checksum: u64 = 14_695_981_039_346_656_037;
        for byte in output.bytes() {
            checksum ^= u64::from(byte);
            checksum = checksum.wrapping_mul(1_099_511_628_211);
        }
        Ok(Reply::Output { bytes: output.len(), checksum })
    }

    fn log(&mut self, id: &str, text: &str, times: usize) -> Answer {
        let known = self.known(id)?;
        if text.len() * times > 8192 {
            return Err(Refusal::Length);
        }
        let mut all = known.log.clone();
        let (mut allocated, mut freed) = (0, 0);
        for byte in text.repeat(times).bytes() {
            if all.last().is_none_or(|last| last.len() == 4096) {
                all.push(Vec::new());
                allocated += 1;
            }
            all.last_mut().into_iter().for_each(|last| last.push(byte));
        }
        let mut grown = known.clone();
        while all.len() > 4 {
            all.remove(0);
            freed += 1;
        }
        grown.log = all;
        self.fits(known.bytes(id), known.limit, grown.bytes(id) - known.bytes(id))?;
        let length = grown.log.concat().len();
        self.containers.insert(id.to_owned(), grown);
        // The oldest is freed before the newest is counted.
        for _ in 0..freed {
            self.uncount(NETWORK, 4096);
            self.count(NETWORK, 4096);
        }
        (freed..allocated).for_each(|_| self.count(NETWORK, 4096));
        Ok(Reply::Logged(length))
    }

    fn stop(&mut self, id: &str) -> Answer {
        let known = self.containers.get_mut(id).ok_or(Refusal::Unknown)?;
        if known.state != State::Running {
            return Err(Refusal::Is(known.state));
        }
        known.state = State::Stopped;
        known.interface = None;
        self.uncount(NETWORK, 256);
        Ok(Reply::Now(State::Stopped))
    }

    fn destroy(&mut self, id: &str) -> Answer {
        let known = self.known(id)?.clone();
        if known.state == State::Running {
            return Err(Refusal::Is(State::Running));
        }
        self.containers.remove(id);
        self.in_use = self.in_use.map(|count| count - 1);
        known.log.iter().for_each(|_| self.uncount(NETWORK, 4096));
        known.own_blocks(id).into_iter().for_each(|bytes| self.uncount(CONTAINERS, bytes));
        Ok(Reply::Destroyed(known.log.concat().len()))
    }

    fn reload(&mut self, text: &str) -> Answer {
        let (pairs, malformed) = upto(text);
        let (mut name, mut container, mut daemon) = (None, None, None);
        for (at, key, value) in pairs {
            match key {
                "name" => name = Some(value.to_owned()),
                "container_limit" => container = Some(number(value).ok_or(Refusal::Line(at))?),
                "daemon_limit" => daemon = Some(number(value).ok_or(Refusal::Line(at))?),
                _ => return Err(Refusal::Line(at)),
            }
        }
        if let Some(at) = malformed {
            return Err(Refusal::Line(at));
        }
        if let Some(old) = std::mem::replace(&mut self.name, name.clone()) {
            self.uncount(CONFIGURATION, block(&old));
        }
        if let Some(new) = name {
            self.count(CONFIGURATION, block(&new));
        }
        let fresh = Model::default();
        self.container_limit = container.unwrap_or(fresh.container_limit);
        self.daemon_limit = daemon.unwrap_or(fresh.daemon_limit);
        Ok(Reply::Reloaded)
    }

    fn pressure(&mut self, percent: u8) -> Reply<Text> {
        self.percent = usize::from(percent.min(100));
        let level = self.level();
        let (mut dropped, mut parts) = (0, 0);
        if level == Level::Emergency {
            for known in self.containers.values_mut() {
                if known.state == State::Stopped {
                    dropped += known.log.concat().len();
                    parts += known.log.len();
                    known.log.clear();
                }
            }
        }
        (0..parts).for_each(|_| self.uncount(NETWORK, 4096));
        Reply::Pressure(level, dropped)
    }

    fn metrics(&self) -> Reply<Text> {
        let mut short = usize::from(self.name.as_ref().is_some_and(|name| name.len() <= 256));
        let mut buffers = 0;
        for (id, known) in &self.containers {
            let texts = [id, &known.image].into_iter().chain(&known.env).chain(&known.interface);
            short += texts.filter(|text| text.len() <= 256).count();
            buffers += known.log.len();
        }
        let running = |known: &&Known| known.state == State::Running;
        let thousandths = |part: usize, whole: usize| {
            let of = part * 1000 / whole.max(1);
            format!("{}.{:03}", of / 1000, of % 1000)
        };
        let pools = thousandths(short * 256 + buffers * 4096, 1024 * 256 + 256 * 4096);
        let allocated = thousandths(self.calls.0, self.operations);
        let freed = thousandths(self.calls.1, self.operations);
        let owner = |of: usize| {
            let (live, peak) = self.owners[of];
            format!("{{\"live\":{live},\"peak\":{peak}}}")
        };
        let text = format!(
            "{{\"total_allocated\":{},\"peak_allocation\":{},\"active_containers\":{},\
             \"pool_utilization\":{pools},\"allocation_rate\":{allocated},\
             \"deallocation_rate\":{freed},\"owners\":{{\"containers\":{},\"network\":{},\
             \"configuration\":{}}}}}",
            self.total.0,
            self.total.1,
            self.containers.values().filter(running).count(),
            owner(CONTAINERS),
            owner(NETWORK),
            owner(CONFIGURATION),
        );
        Reply::Metrics(Bytes(text.into_bytes()))
    }
}
