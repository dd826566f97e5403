//! A disk over a socket, for QEMU: the NBD protocol (doc/proto.md of nbd), newstyle fixed handshake, simple replies.
//!
//! ```text
//! server                                client
//! NBDMAGIC IHAVEOPT flags        ->
//!                                <-     flags
//!                                <-     IHAVEOPT option length data       any number; GO ends them
//! magic option reply length data ->
//!                                <-     magic flags command cookie offset length [data]
//! magic error cookie [data]      ->
//! ```
//! One client at a time. The card outlives its clients: a machine that is killed comes back for what it left.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, anyhow, ensure};

use crate::card::Card;
use crate::wait::PATIENCE;

const GREETING: u64 = 0x4e42_444d_4147_4943;
const OPTION: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const REQUEST: u32 = 0x2560_9513;
const SIMPLE_REPLY: u32 = 0x6744_6698;

/// Handshake: newstyle fixed, and no zeros behind the export.
const HANDSHAKE: u16 = 0b11;
/// Transmission: flags, flush, FUA and trim are there.
const TRANSMISSION: u16 = 0b10_1101;

const ABORT: u32 = 2;
const INFO: u32 = 6;
const GO: u32 = 7;

const ACK: u32 = 1;
const ABOUT: u32 = 3;
const UNSUPPORTED: u32 = (1 << 31) + 1;

const READ: u16 = 0;
const WRITE: u16 = 1;
const DISCONNECT: u16 = 2;
const FLUSH: u16 = 3;
const TRIM: u16 = 4;
/// Flag of a request: its bytes are durable before the reply.
const FUA: u16 = 1;

const INVALID: u32 = 22;

/// The longest option and the longest write that a client may send.
const MOST: u32 = 64 << 20;

/// A server; it ends with the program.
#[derive(Debug)]
pub struct Server {
    socket: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    card: Mutex<Card>,
    /// Clients that are connected.
    clients: Mutex<u32>,
    left: Condvar,
}

impl Shared {
    fn card(&self) -> MutexGuard<'_, Card> {
        self.card.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clients(&self) -> MutexGuard<'_, u32> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Serves a card on the socket `socket`.
    pub fn start(card: Card, socket: &Path) -> Result<Self> {
        let listener = UnixListener::bind(socket).with_context(|| socket.display().to_string())?;
        let shared = Shared { card: Mutex::new(card), clients: Mutex::new(0), left: Condvar::new() };
        let shared = Arc::new(shared);
        let server = Self { socket: socket.to_owned(), shared: shared.clone() };
        std::thread::Builder::new().name("nbd".into()).spawn(move || {
            for client in listener.incoming().flatten() {
                *shared.clients() += 1;
                // A client that is killed ends in the middle of anything.
                if let Err(error) = serve(&client, &shared) {
                    println!("nbd: {error:#}");
                }
                *shared.clients() -= 1;
                shared.left.notify_all();
            }
        })?;
        Ok(server)
    }

    /// Where clients reach it.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The card, once no client has it.
    pub fn card(&self) -> Result<MutexGuard<'_, Card>> {
        let clients = self.shared.clients();
        let waited = self.shared.left.wait_timeout_while(clients, PATIENCE, |clients| *clients > 0);
        let (clients, _) = waited.unwrap_or_else(PoisonError::into_inner);
        ensure!(*clients == 0, "a client still has the card");
        Ok(self.shared.card())
    }

    /// The card, whoever has it.
    pub fn card_in_use(&self) -> MutexGuard<'_, Card> {
        self.shared.card()
    }
}

fn serve(client: &UnixStream, shared: &Shared) -> Result<()> {
    let mut wire = Wire { from: BufReader::new(client), to: client };
    let size = shared.card().size();
    if wire.agree(size)? { wire.work(shared) } else { Ok(()) }
}

struct Wire<'a> {
    from: BufReader<&'a UnixStream>,
    to: &'a UnixStream,
}

impl Wire<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u16(&mut self) -> Result<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn bytes(&mut self, length: u32) -> Result<Vec<u8>> {
        ensure!(length <= MOST, "{length} bytes at once");
        let mut bytes = vec![0; length as usize];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The handshake; whether the client wants to work.
    fn agree(&mut self, size: u64) -> Result<bool> {
        self.to.write_all(
            &[&GREETING.to_be_bytes()[..], &OPTION.to_be_bytes(), &HANDSHAKE.to_be_bytes()].concat(),
        )?;
        let flags = self.u32()?;
        ensure!(flags == u32::from(HANDSHAKE), "a client with flags {flags:#x}");
        loop {
            let magic = self.u64()?;
            ensure!(magic == OPTION, "an option that begins with {magic:#x}");
            let (option, length) = (self.u32()?, self.u32()?);
            self.bytes(length)?;
            match option {
                INFO | GO => {
                    let about = [&0_u16.to_be_bytes()[..], &size.to_be_bytes(), &TRANSMISSION.to_be_bytes()];
                    self.answer(option, ABOUT, &about.concat())?;
                    self.answer(option, ACK, &[])?;
                }
                ABORT => self.answer(option, ACK, &[])?,
                _ => self.answer(option, UNSUPPORTED, &[])?,
            }
            if option == GO || option == ABORT {
                return Ok(option == GO);
            }
        }
    }

    fn answer(&mut self, option: u32, reply: u32, data: &[u8]) -> Result<()> {
        let length = u32::try_from(data.len())?;
        let head =
            [OPTION_REPLY.to_be_bytes().as_slice(), &option.to_be_bytes(), &reply.to_be_bytes()].concat();
        Ok(self.to.write_all(&[&head, &length.to_be_bytes()[..], data].concat())?)
    }

    /// Requests, one after another, until the client leaves.
    fn work(&mut self, shared: &Shared) -> Result<()> {
        loop {
            let mut magic = [0; 4];
            match self.from.read_exact(&mut magic) {
                Err(error) if gone(&error) => return Ok(()),
                read => read?,
            }
            ensure!(magic == REQUEST.to_be_bytes(), "a request that begins with {magic:x?}");
            let (flags, command) = (self.u16()?, self.u16()?);
            let (cookie, at, length) = (self.u64()?, self.u64()?, self.u32()?);
            let written = if command == WRITE { self.bytes(length)? } else { Vec::new() };
            let nothing = |()| Vec::new();
            let done = match command {
                READ if length <= MOST => shared.card().read(at, length),
                WRITE => shared.card().write(at, written, flags & FUA != 0).map(nothing),
                FLUSH => shared.card().flush().map(nothing),
                TRIM => shared.card().trim(at, length).map(nothing),
                DISCONNECT => return Ok(()),
                _ => Err(anyhow!("is not known")),
            };
            if shared.card().is_dark() {
                // The client hears nothing more, and has yet to notice: its power is cut.
                io::copy(&mut self.from, &mut io::sink())?;
                return Ok(());
            }
            match done {
                Ok(data) => self.reply(0, cookie, &data)?,
                Err(error) => {
                    println!("nbd: command {command}: {error:#}");
                    self.reply(INVALID, cookie, &[])?;
                }
            }
        }
    }

    fn reply(&mut self, error: u32, cookie: u64, data: &[u8]) -> Result<()> {
        let head =
            [SIMPLE_REPLY.to_be_bytes().as_slice(), &error.to_be_bytes(), &cookie.to_be_bytes()].concat();
        Ok(self.to.write_all(&[&head, data].concat())?)
    }
}

/// A client that was killed.
fn gone(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;

    use super::*;
    use crate::dice::Dice;

    /// A client as far as its tests need one.
    struct Client(UnixStream);

    impl Client {
        fn connect(socket: &Path) -> Self {
            let mut client = Self(UnixStream::connect(socket).unwrap());
            let greeting = client.read(18);
            assert_eq!(greeting[..16], *b"NBDMAGICIHAVEOPT");
            client.0.write_all(&3_u32.to_be_bytes()).unwrap();
            client
        }

        fn read(&mut self, length: usize) -> Vec<u8> {
            let mut bytes = vec![0; length];
            self.0.read_exact(&mut bytes).unwrap();
            bytes
        }

        fn option(&mut self, option: u32, data: &[u8]) {
            let length = (data.len() as u32).to_be_bytes();
            self.0.write_all(&[b"IHAVEOPT", &option.to_be_bytes()[..], &length, data].concat()).unwrap();
        }

        /// The type and the data of a reply to an option.
        fn answer(&mut self) -> (u32, Vec<u8>) {
            let head = self.read(20);
            let number = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().unwrap());
            (number(12), self.read(number(16) as usize))
        }

        /// The export is agreed on: its size and its flags.
        fn go(&mut self) -> (u64, u16) {
            self.option(GO, &[0, 0, 0, 0, 0, 0]);
            let (reply, about) = self.answer();
            assert_eq!((reply, about.len()), (ABOUT, 12));
            assert_eq!(self.answer(), (ACK, vec![]));
            (u64::from_be_bytes(about[2..10].try_into().unwrap()), u16::from_be_bytes([about[10], about[11]]))
        }

        fn ask(&mut self, flags: u16, command: u16, at: u64, length: u32, data: &[u8]) {
            let head = [&REQUEST.to_be_bytes()[..], &flags.to_be_bytes(), &command.to_be_bytes()].concat();
            let place = [&77_u64.to_be_bytes()[..], &at.to_be_bytes(), &length.to_be_bytes()].concat();
            self.0.write_all(&[&head, &place, data].concat()).unwrap();
        }

        /// The error that a request ends with.
        fn ended(&mut self) -> u32 {
            let reply = self.read(16);
            assert_eq!(
                (&reply[..4], &reply[8..]),
                (&SIMPLE_REPLY.to_be_bytes()[..], &77_u64.to_be_bytes()[..])
            );
            u32::from_be_bytes(reply[4..8].try_into().unwrap())
        }
    }

    fn server() -> (tempfile::TempDir, Server) {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        std::fs::File::create(&image).unwrap().set_len(1 << 20).unwrap();
        let server = Server::start(Card::open(&image).unwrap(), &folder.path().join("socket")).unwrap();
        (folder, server)
    }

    #[test]
    fn a_client_agrees_writes_flushes_and_reads() {
        let (folder, server) = server();
        let mut client = Client::connect(&folder.path().join("socket"));
        // Structured replies.
        client.option(8, &[]);
        assert_eq!(client.answer(), (UNSUPPORTED, vec![]));
        assert_eq!(client.go(), (1 << 20, TRANSMISSION));
        client.ask(0, WRITE, 4096, 4, b"film");
        assert_eq!(client.ended(), 0);
        client.ask(0, READ, 4095, 6, b"");
        assert_eq!(client.ended(), 0);
        assert_eq!(client.read(6), b"\0film\0");
        assert_eq!(server.card_in_use().volatile(), 1);
        client.ask(0, FLUSH, 0, 0, b"");
        assert_eq!(client.ended(), 0);
        assert_eq!(server.card_in_use().volatile(), 0);
        client.ask(0, TRIM, 0, 8192, b"");
        assert_eq!(client.ended(), 0);
        client.ask(0, READ, 4096, 4, b"");
        assert_eq!((client.ended(), client.read(4)), (0, vec![0; 4]));
        for (command, at) in [(READ, 1 << 20), (99, 0)] {
            client.ask(0, command, at, 1, b"");
            assert_eq!(client.ended(), INVALID);
        }
    }

    #[test]
    fn what_a_killed_client_was_told_is_there_and_the_next_one_sees_what_a_cut_left() {
        let (folder, server) = server();
        let mut client = Client::connect(&folder.path().join("socket"));
        client.go();
        client.ask(FUA, WRITE, 0, 4, b"kept");
        assert_eq!(client.ended(), 0);
        client.ask(0, WRITE, 512, 4, b"lost");
        assert_eq!(client.ended(), 0);
        // Half a request.
        client.0.write_all(&REQUEST.to_be_bytes()).unwrap();
        drop(client);
        assert_eq!(server.card().unwrap().volatile(), 2);
        // The first seed by which the second write is lost.
        let lost = |seed: &u64| Dice::seeded(*seed).roll() > 0.9;
        let seed = (1..).find(lost).unwrap();
        assert_eq!(server.card().unwrap().cut(&mut Dice::seeded(seed)).unwrap().kept, 1);
        let mut next = Client::connect(&folder.path().join("socket"));
        next.go();
        next.ask(0, READ, 0, 4, b"");
        assert_eq!((next.ended(), next.read(4)), (0, b"kept".to_vec()));
        next.ask(0, READ, 512, 4, b"");
        assert_eq!((next.ended(), next.read(4)), (0, vec![0; 4]));
    }

    #[test]
    fn a_card_that_went_dark_takes_and_answers_nothing_until_its_client_is_gone() {
        let (folder, server) = server();
        let mut client = Client::connect(&folder.path().join("socket"));
        client.go();
        server.card_in_use().go_dark_after(1);
        client.ask(0, WRITE, 0, 4, b"kept");
        assert_eq!(client.ended(), 0);
        client.ask(0, FLUSH, 0, 0, b"");
        assert_eq!(client.ended(), 0);
        for text in [b"half", b"none"] {
            client.ask(0, WRITE, 0, 4, text);
            client.ask(0, FLUSH, 0, 0, b"");
        }
        client.0.shutdown(Shutdown::Write).unwrap();
        let mut said = Vec::new();
        client.0.read_to_end(&mut said).unwrap();
        assert!(said.is_empty(), "{said:?}");
        let mut card = server.card().unwrap();
        assert_eq!((card.is_dark(), card.writes(), card.volatile()), (true, 2, 1));
        card.cut_all().unwrap();
        assert_eq!(card.read(0, 4).unwrap(), b"kept");
    }

    #[test]
    fn a_stranger_is_turned_away() {
        let (folder, server) = server();
        let mut stranger = UnixStream::connect(folder.path().join("socket")).unwrap();
        stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut said = Vec::new();
        stranger.read_to_end(&mut said).ok();
        assert_eq!(said.len(), 18, "the greeting and no more");
        assert!(server.card().is_ok());
    }
}
