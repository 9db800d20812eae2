//! Lua, through `lua_newstate`: creates a state, and runs a script that reads, sums up and writes.
//!
//! Lua's compiler keeps its objects in a table that is hashed by their addresses, so when the table
//! grows depends on addresses. On `malloc` no two runs make the same requests, which a sweep
//! reports as *nondeterminism*. So the heap is over a region whose addresses are the same in each
//! run.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};

use mallory::c::mallory_lua_alloc;
use mallory::{Heap, Report, Scenario, Sweep};
use mlua_sys::lua55 as lua;

use super::region;
use super::subject::PROGRAM;

/// The scenario.
pub(super) fn scenario() -> Scenario {
    let about = "creates a state and runs a script that reads orders and sums them up";
    Scenario::new("foreign/lua", about, sweep).group("foreign").rerun_by(PROGRAM)
}

fn sweep(sweep: Sweep) -> Report {
    sweep.port(region::port).oom(|failure: &LuaFailure| *failure == LuaFailure::NoMemory).run(work)
}

const SCRIPT: &str = include_str!("../../scripts/orders.lua");

/// What the script returns.
const ANSWER: &str = include_str!("../../scripts/orders.txt");

/// Why the script did not finish.
#[derive(Clone, Debug, PartialEq, Eq)]
enum LuaFailure {
    NoMemory,
    /// Any other error, with Lua's message.
    Error(String),
}

/// A state, closed when this is dropped.
struct LuaState(*mut lua::lua_State);

impl Drop for LuaState {
    fn drop(&mut self) {
        // SAFETY: made by `lua_newstate`, and closed once.
        unsafe { lua::lua_close(self.0) };
    }
}

/// Opens the libraries that depend only on their arguments: no environment, no
/// files, no clock.
unsafe extern "C-unwind" fn open_libraries(state: *mut lua::lua_State) -> c_int {
    let wanted = lua::LUA_GLIBK
        | lua::LUA_COLIBK
        | lua::LUA_MATHLIBK
        | lua::LUA_STRLIBK
        | lua::LUA_TABLIBK
        | lua::LUA_UTF8LIBK;
    // SAFETY: Lua calls this protected. An error jumps over this frame, in which nothing has to be
    // dropped.
    unsafe { lua::luaL_openselectedlibs(state, wanted, 0) };
    0
}

impl LuaState {
    /// A state on this heap, to which it keeps a pointer: the heap has to outlive it. Strings are
    /// hashed with a fixed seed.
    fn new(heap: &Heap) -> Result<LuaState, LuaFailure> {
        let context = std::ptr::from_ref(heap).cast_mut().cast();
        // SAFETY: a `lua_Alloc`, with the heap as its context.
        let state = unsafe { lua::lua_newstate(mallory_lua_alloc, context, 1) };
        if state.is_null() { Err(LuaFailure::NoMemory) } else { Ok(LuaState(state)) }
    }

    /// Removes the value on the top of the stack, and returns it as text.
    fn take_text(&self) -> String {
        let mut length = 0;
        // SAFETY: there is a value; a text is copied before it is taken away.
        unsafe {
            let text = lua::lua_tolstring(self.0, -1, &raw mut length);
            let text = match text.is_null() {
                true => "(no text)".to_owned(),
                false => {
                    let bytes = std::slice::from_raw_parts(text.cast::<u8>(), length);
                    String::from_utf8_lossy(bytes).into_owned()
                }
            };
            lua::lua_settop(self.0, 0);
            text
        }
    }

    fn check(&self, status: c_int) -> Result<(), LuaFailure> {
        match status {
            lua::LUA_OK => Ok(()),
            lua::LUA_ERRMEM => {
                self.take_text();
                Err(LuaFailure::NoMemory)
            }
            status => match self.take_text() {
                // A script that caught it has to hand it on as an error of its own.
                text if text == "not enough memory" => Err(LuaFailure::NoMemory),
                text => Err(LuaFailure::Error(format!("{text} ({status})"))),
            },
        }
    }

    /// Loads and runs the script.
    fn run(&self) -> Result<String, LuaFailure> {
        let (script, name): (&str, &CStr) = (SCRIPT, c"=orders.lua");
        // SAFETY: calls that raise errors are protected ones, or need no memory; the stack is empty
        // and has room for a few values.
        unsafe {
            lua::lua_pushcclosure(self.0, open_libraries, 0);
            self.check(lua::lua_pcall(self.0, 0, 0, 0))?;
            let start = script.as_ptr().cast();
            let mode = c"t".as_ptr();
            let loaded = lua::luaL_loadbufferx(self.0, start, script.len(), name.as_ptr(), mode);
            self.check(loaded)?;
            self.check(lua::lua_pcall(self.0, 0, 1, 0))?;
        }
        Ok(self.take_text())
    }
}

/// Creates a state and runs the script. After a failure there is memory again, and the same state
/// must run the script to its end.
fn work(heap: &Heap) -> Result<String, LuaFailure> {
    let state = LuaState::new(heap)?;
    state.run().map_err(|failure| {
        heap.disarm();
        match state.run() {
            Ok(answer) if answer == ANSWER.trim_end() => failure,
            Ok(answer) => LuaFailure::Error(format!("with memory again it returns {answer}")),
            Err(second) => LuaFailure::Error(format!("with memory again it fails: {second:?}")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_answers() {
        let heap = Heap::new();
        assert_eq!(work(&heap).as_deref(), Ok(ANSWER.trim_end()));
        assert_eq!(heap.live_bytes(), 0);
    }

    #[test]
    fn an_error_of_the_scripts_own_is_none_of_memory() {
        let heap = Heap::new();
        let state = LuaState::new(&heap).expect("there is memory");
        // SAFETY: as in `run`.
        let failure = unsafe {
            let text = c"local t; t.x = 1";
            let loaded = lua::luaL_loadbufferx(
                state.0,
                text.as_ptr(),
                text.count_bytes(),
                c"=t".as_ptr(),
                std::ptr::null(),
            );
            state.check(loaded).expect("it is Lua");
            state.check(lua::lua_pcall(state.0, 0, 0, 0))
        };
        let said =
            |text: &str| matches!(&failure, Err(LuaFailure::Error(said)) if said.contains(text));
        assert!(said("attempt to index a nil value"), "{failure:?}");
    }
}
