//! Subjects that attack the process that they run in, its parent, its files and its terminal.
#![allow(unsafe_code, reason = "the subjects do what they may not")]

use std::fmt;
use std::hint::black_box;
use std::time::Duration;

use mallory::{GlobalHeap, Heap, Port, Report, Sweep};

use crate::{Part, check, children};

#[global_allocator]
static HEAP: GlobalHeap = GlobalHeap::system();

/// What a subject returns, whose text may be an attack as well.
enum Value {
    Plain,
    Panics,
    Huge,
    Escapes,
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Plain => f.write_str("plain"),
            Value::Panics => panic!("while its text is written"),
            Value::Huge => (0..200_000).try_for_each(|n| writeln!(f, "line {n}")),
            Value::Escapes => f.write_str("\u{1b}[2J\u{202e}\u{7}\r\nclean"),
        }
    }
}

/// Panics when it is dropped.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in a destructor");
    }
}

fn fork(child: impl FnOnce()) {
    // SAFETY: the new process only does what the attack is about, and ends.
    unsafe {
        match libc::fork() {
            0 => {
                child();
                libc::_exit(0)
            }
            pid => {
                let mut status = 0;
                libc::waitpid(pid, &raw mut status, libc::WNOHANG);
            }
        }
    }
}

fn signal(number: i32) {
    // SAFETY: a signal to this process.
    unsafe { libc::raise(number) };
}

fn waits() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(1000));
    }
}

fn descriptors(act: impl Fn(i32)) {
    (0..256).for_each(act);
}

type Act = fn(&Heap) -> Value;

/// The attacks, by name.
const ACTS: &[(&str, Act)] = &[
    ("returns", |_| Value::Plain),
    ("aborts", |_| std::process::abort()),
    ("exits with 0", |_| std::process::exit(0)),
    ("exits with 77", |_| std::process::exit(77)),
    ("leaves at once", |_| {
        // SAFETY: it ends the process at once.
        unsafe { libc::_exit(0) }
    }),
    ("writes to null", |_| {
        // SAFETY: none, that is the attack.
        unsafe { black_box(std::ptr::null_mut::<u8>()).write_volatile(1) };
        Value::Plain
    }),
    ("overflows its stack", |_| {
        #[allow(unconditional_recursion, reason = "that is the attack")]
        fn deep(n: u64) -> u64 {
            black_box(deep(black_box(n) + 1)) + 1
        }
        black_box(deep(0));
        Value::Plain
    }),
    ("kills itself", |_| {
        signal(libc::SIGKILL);
        waits()
    }),
    ("stops itself", |_| {
        signal(libc::SIGSTOP);
        Value::Plain
    }),
    ("terminates itself", |_| {
        signal(libc::SIGTERM);
        Value::Plain
    }),
    ("raises the signal of stalls", |_| {
        (libc::SIGRTMIN()..=libc::SIGRTMAX()).chain([libc::SIGURG, libc::SIGPROF]).for_each(signal);
        Value::Plain
    }),
    ("hangs", |_| waits()),
    ("spins", |_| {
        loop {
            std::hint::spin_loop();
        }
    }),
    ("asks for ever", |heap| {
        loop {
            let _ = black_box(heap.alloc(std::alloc::Layout::new::<u64>()));
        }
    }),
    ("closes all descriptors", |_| {
        // SAFETY: none, they are not its own.
        descriptors(|n| unsafe {
            libc::close(n);
        });
        Value::Plain
    }),
    ("writes rubbish to all descriptors", |_| {
        // SAFETY: as above.
        descriptors(|n| unsafe {
            libc::write(n, [0xFF_u8; 64].as_ptr().cast(), 64);
        });
        Value::Plain
    }),
    ("reads all descriptors", |_| {
        let mut bytes = [0_u8; 64];
        descriptors(|n| {
            // SAFETY: the flag only makes the read return at once; the buffer is long enough.
            unsafe {
                libc::fcntl(n, libc::F_SETFL, libc::O_NONBLOCK);
                libc::read(n, bytes.as_ptr().cast_mut().cast(), 64);
            }
        });
        black_box(&mut bytes);
        Value::Plain
    }),
    ("replaces all descriptors", |_| {
        // SAFETY: as above.
        unsafe {
            let null = libc::open(c"/dev/zero".as_ptr(), libc::O_RDWR);
            descriptors(|n| {
                libc::dup2(null, n);
            });
        }
        Value::Plain
    }),
    ("forks and returns twice", |_| {
        // SAFETY: none, the second process is the harness's copy.
        unsafe { libc::fork() };
        Value::Plain
    }),
    ("forks one that hangs", |_| {
        fork(|| waits());
        Value::Plain
    }),
    ("forks a daemon", |_| {
        fork(|| {
            // SAFETY: plain calls.
            unsafe {
                libc::setsid();
                if libc::fork() == 0 {
                    waits();
                }
            }
        });
        std::thread::sleep(Duration::from_millis(5));
        Value::Plain
    }),
    ("forks many", |_| {
        (0..20).for_each(|_| fork(|| waits()));
        Value::Plain
    }),
    ("starts programs", |_| {
        let _ = std::process::Command::new("setsid").args(["--fork", "sleep", "1000"]).status();
        Value::Plain
    }),
    ("becomes another program", |_| {
        // SAFETY: the arguments are C strings, and the list ends with null.
        unsafe { libc::execl(c"/bin/true".as_ptr(), c"true".as_ptr(), std::ptr::null::<u8>()) };
        Value::Plain
    }),
    ("kills its group", |_| {
        // SAFETY: a signal to its own group.
        unsafe { libc::kill(0, libc::SIGKILL) };
        waits()
    }),
    ("leaves its group", |_| {
        // SAFETY: plain calls.
        unsafe {
            libc::setsid();
            libc::setpgid(0, 0);
        }
        Value::Plain
    }),
    ("outlives its parent", |_| {
        // SAFETY: plain numbers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) };
        waits()
    }),
    ("ignores all signals", |_| {
        // SAFETY: no handler is installed.
        (1..32).for_each(|n| unsafe {
            libc::signal(n, libc::SIG_IGN);
        });
        // SAFETY: none, that is the attack.
        unsafe { black_box(std::ptr::null_mut::<u8>()).write_volatile(1) };
        Value::Plain
    }),
    ("is interrupted all the time", |_| {
        extern "C" fn nothing(_: i32) {}
        let handler = nothing as *const () as libc::sighandler_t;
        let often = libc::timeval { tv_sec: 0, tv_usec: 200 };
        let timer = libc::itimerval { it_interval: often, it_value: often };
        // SAFETY: the handler does nothing.
        unsafe {
            libc::signal(libc::SIGALRM, handler);
            libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
        }
        std::thread::sleep(Duration::from_millis(2));
        Value::Plain
    }),
    ("is left no resources", |_| {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        for resource in [libc::RLIMIT_NOFILE, libc::RLIMIT_FSIZE, libc::RLIMIT_NPROC] {
            // SAFETY: the limit outlives the call.
            unsafe { libc::setrlimit(resource, &raw const none) };
        }
        Value::Plain
    }),
    ("removes its folder", |_| {
        let folder = std::env::temp_dir().join(format!("hostile-{}", std::process::id()));
        let _ = std::fs::create_dir(&folder);
        let _ = std::env::set_current_dir(&folder);
        let _ = std::fs::remove_dir(&folder);
        Value::Plain
    }),
    ("clears the environment", |_| {
        // SAFETY: the child has one thread.
        unsafe { libc::clearenv() };
        Value::Plain
    }),
    ("writes beyond its block", |_| {
        let block = black_box(vec![0_u8; 24]);
        // SAFETY: none, that is the attack.
        unsafe { block.as_ptr().cast_mut().add(24).write_bytes(0xAB, 4096) };
        Value::Plain
    }),
    ("frees twice", |_| {
        let block = black_box(Box::new(7_u64));
        // SAFETY: none, the box frees it again.
        drop(unsafe { Box::from_raw(&raw const *block as *mut u64) });
        Value::Plain
    }),
    ("frees its stack", |_| {
        let mut word = 7_u64;
        // SAFETY: none, it is no box.
        drop(unsafe { Box::from_raw(black_box(&raw mut word)) });
        Value::Plain
    }),
    ("panics with escapes", |_| panic!("\u{1b}[2J\u{202e}\n\u{7}error: all is well")),
    ("panics with much text", |_| panic!("{}", "much text ".repeat(200_000))),
    ("panics with no text", |_| std::panic::panic_any(vec![1_u8])),
    ("panics with what panics", |_| std::panic::panic_any(PanicsInDrop)),
    ("panics while it unwinds", |_| {
        let _twice = PanicsInDrop;
        panic!("first");
    }),
    ("prints much", |_| {
        (0..20_000).for_each(|n| println!("line {n}"));
        Value::Plain
    }),
    ("starts a thread that stays", |_| {
        std::thread::spawn(|| waits());
        Value::Plain
    }),
    ("starts many threads", |_| {
        let threads: Vec<_> = (0..100).map(|n| std::thread::spawn(move || black_box(n))).collect();
        threads.into_iter().for_each(|thread| drop(thread.join()));
        Value::Plain
    }),
    ("panics in a thread", |_| {
        let _ = std::thread::spawn(|| panic!("elsewhere")).join();
        Value::Plain
    }),
    ("waits for itself", |_| {
        let lock = std::sync::Mutex::new(());
        let _first = lock.lock();
        let _second = lock.lock();
        Value::Plain
    }),
    ("takes the stack of signals away", |_| {
        let none =
            libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: the description outlives the call.
        unsafe { libc::sigaltstack(&raw const none, std::ptr::null_mut()) };
        // SAFETY: none, that is the attack.
        unsafe { black_box(std::ptr::null_mut::<u8>()).write_volatile(1) };
        Value::Plain
    }),
    ("returns what panics", |_| Value::Panics),
    ("returns much", |_| Value::Huge),
    ("returns escapes", |_| Value::Escapes),
];

/// Makes one request, and then attacks: always, or only if it was refused.
fn subject(heap: &Heap, act: Act, always: bool) -> Result<Value, &'static str> {
    let layout = std::alloc::Layout::new::<u64>();
    let block = heap.alloc(layout);
    let refused = block.is_err();
    if let Ok(block) = block {
        // SAFETY: allocated above with this layout.
        unsafe { heap.free(block.cast(), layout) };
    }
    if always || refused {
        return Ok(act(heap));
    }
    Ok(Value::Plain)
}

fn sweep(name: String, act: Act, always: bool) -> Report {
    let sweep = Sweep::new(name).patience(Duration::from_millis(400)).quick();
    sweep.run(|heap| subject(heap, act, always))
}

fn sweep_global(name: String, act: Act) -> Report {
    let sweep =
        Sweep::new(name).global(&HEAP).patience(Duration::from_millis(400)).limit(4).quick();
    sweep.run(|heap| {
        drop(black_box(Vec::<u8>::with_capacity(16)));
        subject(heap, act, true)
    })
}

/// Sweeps every subject in each way.
pub(crate) fn attack(percent: u64) -> Part {
    let mut wrong = Vec::new();
    let mut attempts = 0;
    let every = (100 / percent.max(1)).max(1) as usize;
    for (nth, (about, act)) in ACTS.iter().enumerate().step_by(every) {
        for way in ["always", "refused", "global"] {
            attempts += 1;
            let name = format!("hostile/{nth}-{way}");
            let report = std::panic::catch_unwind(|| match way {
                "global" => sweep_global(name, *act),
                way => sweep(name, *act, way == "always"),
            });
            let complaint = match &report {
                Err(_) => Some("the harness panicked".to_owned()),
                Ok(report) => check(report).err().or_else(|| {
                    let left = children();
                    (!left.is_empty()).then(|| format!("processes are left: {left:?}"))
                }),
            };
            wrong.extend(complaint.map(|what| format!("{about} ({way}): {what}")));
        }
    }
    Part { name: "hostile subjects", attempts, wrong, note: String::new() }
}
