//! R3: pictures and data sets made by hand. Expected: exit code 3, one line, bounded memory.

use super::{Ran, Worst, run};
use crate::cli::Isoline;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The command that reads the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reader {
    /// `generate --from x.png`
    From,
    /// `train-generator` with a folder of pictures.
    Folder,
    /// `train-generator` with an IDX file.
    Idx,
}

type Make = Box<dyn Fn(&Path)>;

/// A case: its name, its reader, what is made in the folder `data`, the exit code.
pub struct Case {
    name: String,
    reader: Reader,
    make: Make,
    code: i32,
}

fn crc(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind.as_slice(), data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc(&body).to_be_bytes()].concat()
}

fn header(width: u32, height: u32, depth: u8, colour: u8, rest: [u8; 3]) -> Vec<u8> {
    chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, colour], &rest].concat())
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

fn png(chunks: &[Vec<u8>]) -> Vec<u8> {
    [SIGNATURE, &chunks.concat()].concat()
}

/// The pixels of a grey picture of 6×6, which is what the model expects.
fn pixels() -> Vec<u8> {
    chunk(b"IDAT", &deflate(&[0u8; 42]))
}

fn good() -> Vec<Vec<u8>> {
    vec![header(6, 6, 8, 0, [0; 3]), pixels(), chunk(b"IEND", &[])]
}

fn flip_last(mut chunk: Vec<u8>) -> Vec<u8> {
    *chunk.last_mut().unwrap() ^= 1;
    chunk
}

fn folder_pictures() -> Vec<(String, Vec<u8>)> {
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>| cases.push((name.to_owned(), bytes));
    let end = || chunk(b"IEND", &[]);
    let six = || header(6, 6, 8, 0, [0; 3]);
    add("bad sum of IHDR", png(&[flip_last(six()), pixels(), end()]));
    add("bad sum of IDAT", png(&[six(), flip_last(pixels()), end()]));
    let whole = png(&good());
    for cut in [4, 8, 12, 20, 33, 40, 45] {
        add(&format!("cut to {cut} bytes"), whole[..cut].to_vec());
    }
    for (name, width, height) in [
        ("2^31 wide", 1 << 31, 1),
        ("2^31 high", 1, 1 << 31),
        ("2^31-1 square", (1 << 31) - 1, (1 << 31) - 1),
        ("100,000 square", 100_000, 100_000),
        ("4097 wide", 4_097, 1),
        ("no width", 0, 6),
        ("no height", 6, 0),
        ("7 wide", 7, 6),
        ("4096 square", 4_096, 4_096),
    ] {
        add(&format!("side {name}"), png(&[header(width, height, 8, 0, [0; 3]), pixels(), end()]));
    }
    add("depth 3", png(&[header(6, 6, 3, 0, [0; 3]), pixels(), end()]));
    add("colour type 5", png(&[header(6, 6, 8, 5, [0; 3]), pixels(), end()]));
    add("compression 1", png(&[header(6, 6, 8, 0, [1, 0, 0]), pixels(), end()]));
    add("filter method 1", png(&[header(6, 6, 8, 0, [0, 1, 0]), pixels(), end()]));
    add("interlace 2", png(&[header(6, 6, 8, 0, [0, 0, 2]), pixels(), end()]));
    add("palette without colours", png(&[header(6, 6, 8, 3, [0; 3]), pixels(), end()]));
    add("no IHDR", png(&[pixels(), end()]));
    add("no IDAT", png(&[six(), end()]));
    add("unpacked pixels", png(&[six(), chunk(b"IDAT", &[0; 42]), end()]));
    add("too few pixels", png(&[six(), chunk(b"IDAT", &deflate(&[0; 20])), end()]));
    let bomb = deflate(&vec![0u8; 64 << 20]);
    add(
        "64 MiB of pixels in IDAT of a side beyond the cap",
        png(&[header(8_192, 8_192, 8, 0, [0; 3]), chunk(b"IDAT", &bomb), end()]),
    );
    add("a chunk of 2^31 bytes", [&png(&[six()])[..], &(1u32 << 31).to_be_bytes(), b"IDAT"].concat());
    add("a JPEG's first bytes", b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0".to_vec());
    add("a ZIP", b"PK\x03\x04\x14\0\0\0\x08\0".to_vec());
    add("a GIF", b"GIF89a\x06\0\x06\0\x80\0\0".to_vec());
    add("a BMP", b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0".to_vec());
    add("text", b"no picture".to_vec());
    add("nothing", Vec::new());
    cases
}

fn from_pictures() -> Vec<(String, Vec<u8>)> {
    let text = |data: &[u8]| png(&[good()[0].clone(), chunk(b"iTXt", data), pixels(), chunk(b"IEND", &[])]);
    let recipe = |json: &[u8]| text(&[b"isoline\0\0\0\0\0".as_slice(), json].concat());
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    let zipped = [b"isoline\0\x01\0\0\0".as_slice(), &deflate(&vec![b' '; 64 << 20])].concat();
    let unzipped = [b"isoline\0".as_slice(), &deflate(&vec![b' '; 64 << 20])].concat();
    let bad_sum = flip_last(chunk(b"iTXt", b"isoline\0\0\0\0\0{}"));
    [
        ("no recipe", png(&good())),
        ("an empty recipe", recipe(b"")),
        ("a recipe that is no JSON", recipe(b"{")),
        ("a recipe of depth 10,000", recipe(&deep)),
        ("a recipe of 70 KB", recipe(&vec![b' '; 70_000])),
        ("a recipe that is no UTF-8", recipe(b"{\"a\":\"\xff\"}")),
        ("a recipe with NUL", recipe(b"{\0}")),
        ("a recipe of another schema", recipe(b"{\"schema\":99,\"seed\":1,\"recipe\":{}}")),
        ("a number for a recipe", recipe(b"1e400")),
        ("a packed recipe of 64 MiB", text(&zipped)),
        ("a zTXt of 64 MiB", png(&[good()[0].clone(), chunk(b"zTXt", &unzipped), pixels(), chunk(b"IEND", &[])])),
        ("a recipe with a bad sum", png(&[good()[0].clone(), bad_sum, pixels(), chunk(b"IEND", &[])])),
        ("100,000 empty chunks", png(&[good()[0].clone(), chunk(b"teXt", &[]).repeat(100_000)])),
        ("a JPEG", b"\xff\xd8\xff\xe0\0\x10JFIF\0".to_vec()),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into()
}

fn idx_files() -> Vec<(String, &'static str, Vec<u8>)> {
    let idx = |magic: u32, count: u32, height: u32, width: u32, bytes: usize| {
        let head = [magic, count, height, width].iter().flat_map(|v| v.to_be_bytes()).collect::<Vec<u8>>();
        [head, vec![7; bytes]].concat()
    };
    let plain: Vec<(String, Vec<u8>)> = [
        ("magic 0x801", idx(0x801, 2, 6, 6, 72)),
        ("magic 0", idx(0, 2, 6, 6, 72)),
        ("magic 0xd03 of floats", idx(0xd03, 2, 6, 6, 288)),
        ("magic turned round", idx(0x0308_0000, 2, 6, 6, 72)),
        ("2^32-1 pictures", idx(0x803, u32::MAX, 6, 6, 72)),
        ("2^32-1 high", idx(0x803, 2, u32::MAX, 6, 72)),
        ("2^32-1 wide", idx(0x803, 2, 6, u32::MAX, 72)),
        ("all 2^32-1", idx(0x803, u32::MAX, u32::MAX, u32::MAX, 72)),
        ("no pictures", idx(0x803, 0, 6, 6, 0)),
        ("no height", idx(0x803, 2, 0, 6, 0)),
        ("a byte short", idx(0x803, 2, 6, 6, 71)),
        ("a byte long", idx(0x803, 2, 6, 6, 73)),
        ("5 million declared", idx(0x803, 5_000_000, 6, 6, 72)),
        ("another size", idx(0x803, 2, 7, 6, 84)),
        ("15 bytes", idx(0x803, 2, 6, 6, 0)[..15].to_vec()),
        ("nothing", Vec::new()),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into();
    let mut cases: Vec<_> = plain.into_iter().map(|(name, bytes)| (name, "x.idx", bytes)).collect();
    let packed = gzip(&idx(0x803, 2, 6, 6, 72));
    let mut damaged = packed.clone();
    let at = damaged.len() - 6;
    damaged[at] ^= 1;
    cases.push((
        "a gzip bomb of 256 MiB".into(),
        "x.idx.gz",
        gzip(&[idx(0x803, 2, 6, 6, 72), vec![0; 256 << 20]].concat()),
    ));
    cases.push(("a cut gzip".into(), "x.idx.gz", packed[..packed.len() - 9].to_vec()));
    cases.push(("a gzip with a bad sum".into(), "x.idx.gz", damaged));
    cases.push(("plain under a gzip's name".into(), "x.idx.gz", idx(0x803, 2, 6, 6, 72)));
    cases.push(("gzip under a plain name".into(), "x.idx", packed));
    cases
}

pub fn cases() -> Vec<Case> {
    let put = |name: String, reader, file: &'static str, bytes: Vec<u8>| Case {
        name,
        reader,
        make: Box::new(move |folder: &Path| fs::write(folder.join(file), &bytes).unwrap()),
        code: 3,
    };
    let mut cases: Vec<Case> = folder_pictures().into_iter().map(|(n, b)| put(n, Reader::Folder, "x.png", b)).collect();
    cases.extend(from_pictures().into_iter().map(|(n, b)| put(n, Reader::From, "x.png", b)));
    cases.extend(idx_files().into_iter().map(|(n, file, b)| put(n, Reader::Idx, file, b)));
    cases.push(put("a JPEG cut short".into(), Reader::Folder, "x.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF".to_vec()));
    let mut special = |name: &str, reader, code, shell: &'static str| {
        let make = move |folder: &Path| {
            assert!(Command::new("sh").args(["-ec", shell]).current_dir(folder).status().unwrap().success());
        };
        cases.push(Case { name: name.into(), reader, make: Box::new(make), code });
    };
    special("an empty folder", Reader::Folder, 3, ":");
    special("a folder of other files", Reader::Folder, 3, "echo x > notes.txt");
    special("a link to its own folder", Reader::Folder, 3, "ln -s . loop");
    special("a picture that links to itself", Reader::Folder, 4, "ln -s x.png x.png");
    special("a FIFO for a picture", Reader::Folder, 3, "mkfifo x.png");
    special("a device for a picture", Reader::Folder, 3, "ln -s /dev/zero x.png");
    special("a folder for a picture", Reader::From, 3, "mkdir x.png");
    special("a FIFO for a recipe", Reader::From, 3, "mkfifo x.png");
    special("a FIFO for a data set", Reader::Idx, 3, "mkfifo x.idx");
    special("a device for a data set", Reader::Idx, 3, "ln -s /dev/zero x.idx");
    special("a data set that is not there", Reader::Idx, 4, ":");
    cases
}

#[test]
fn pictures_and_data_sets_made_by_hand_are_refused_in_bounded_memory() {
    let (mut ran, mut worst) = (Ran::new("R3"), Worst::new(Duration::from_millis(200)));
    for case in cases() {
        let setting = crate::training::setting();
        let data = setting.path().join("data");
        fs::create_dir(&data).unwrap();
        (case.make)(&data);
        let path = if data.join("x.idx.gz").exists() { "data/x.idx.gz" } else { "data/x.idx" };
        let config = fs::read_to_string(setting.path().join("mini.toml")).unwrap();
        let source = match case.reader {
            Reader::Folder => "kind = \"folder\"\npath = \"data\"".to_owned(),
            _ => format!("kind = \"idx\"\npath = \"{path}\""),
        };
        fs::write(setting.path().join("mini.toml"), config.replace("kind = \"idx\"\npath = \"stripes.idx\"", &source))
            .unwrap();
        let call = match case.reader {
            Reader::From => Isoline::new(&["generate", "--device", "cpu", "--from", "data/x.png"]),
            _ => {
                Isoline::new(&["train-generator", "-q", "--device", "cpu", "-c", "mini.toml", "--data", ".", "-o", "w"])
            }
        };
        let ended = run(call.cwd(setting.path()));
        assert_eq!(ended.code, case.code, "{:?} {}: {}", case.reader, case.name, ended.stderr);
        ended.is_one_line(&case.name);
        assert!(ended.rss <= 128 << 20, "{:?} {}: {} bytes held", case.reader, case.name, ended.rss);
        worst.take(&case.name, ended.cpu, ended.rss);
        ran.case();
    }
    worst.tell("R3");
    ran.all(cases().len());
}
