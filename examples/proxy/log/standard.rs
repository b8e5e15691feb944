//! Lines on the standard streams. Whoever reads them may be slow, or not read at all: a thread
//! of its own waits for that, and requests never do.

use std::os::fd::BorrowedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread;
use std::time::Duration;

use rustix::io::{self, Errno};
use rustix::stdio;

/// So many bytes wait for the reader; what comes when there are more is lost.
const MOST_WAITING: usize = 4 << 20;

/// The end of the program waits for a reader who takes something now and then.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// One of the streams.
#[derive(Debug)]
pub(crate) struct Standard {
    descriptor: fn() -> BorrowedFd<'static>,
    writer: OnceLock<Sender<Order>>,
    waiting: AtomicUsize,
}

pub(crate) static STDOUT: Standard = Standard::new(stdio::stdout);
pub(crate) static STDERR: Standard = Standard::new(stdio::stderr);

#[derive(Debug)]
enum Order {
    Write(Vec<u8>),
    /// Everything before has been written when this is dropped.
    Tell(#[expect(dead_code, reason = "its end is what is told")] SyncSender<()>),
}

impl Standard {
    const fn new(descriptor: fn() -> BorrowedFd<'static>) -> Self {
        Self {
            descriptor,
            writer: OnceLock::new(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Writes whole lines, in the order in which they come.
    pub(crate) fn write(&'static self, line: &[u8]) {
        let waiting = self.waiting.fetch_add(line.len(), Relaxed);
        let is_lost = waiting + line.len() > MOST_WAITING
            || self.writer().send(Order::Write(line.to_vec())).is_err();
        if is_lost {
            self.waiting.fetch_sub(line.len(), Relaxed);
        }
    }

    fn writer(&'static self) -> &'static Sender<Order> {
        self.writer.get_or_init(|| {
            let (sender, orders) = mpsc::channel();
            // Without a thread there is no log, and everything else goes on.
            let _ = thread::Builder::new().spawn(|| self.follow(orders));
            sender
        })
    }

    fn follow(&self, orders: Receiver<Order>) {
        for order in orders {
            if let Order::Write(line) = order {
                self.put(&line);
                self.waiting.fetch_sub(line.len(), Relaxed);
            }
        }
    }

    /// Past the locks of the standard library, which others would wait for.
    fn put(&self, mut line: &[u8]) {
        while !line.is_empty() {
            match io::write((self.descriptor)(), line) {
                Ok(count) => line = &line[count..],
                Err(Errno::INTR) => {}
                // Somebody has made it so.
                Err(Errno::AGAIN) => thread::sleep(Duration::from_millis(5)),
                Err(_) => return,
            }
        }
    }

    /// Waits until everything has been written, or nobody reads.
    fn see_out(&self) {
        let Some(writer) = self.writer.get() else {
            return;
        };
        let (told, is_told) = mpsc::sync_channel(0);
        let mut is_moving = writer.send(Order::Tell(told)).is_ok();
        while is_moving {
            let waiting = self.waiting.load(Relaxed);
            let is_late = is_told.recv_timeout(LAST_WORDS) == Err(RecvTimeoutError::Timeout);
            is_moving = is_late && self.waiting.load(Relaxed) < waiting;
        }
    }
}

/// Waits until what was told has been written, at the end of the program.
pub(crate) fn see_out() {
    STDOUT.see_out();
    STDERR.see_out();
}
