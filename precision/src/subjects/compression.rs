//! Compressors, pictures and archives.

use std::fmt::Write as _;
use std::io::{self, Cursor, Read, Write};

/// A text of 10 KiB that can be compressed well, but not to nothing.
fn text() -> String {
    let mut text = String::new();
    for number in 0..400_u32 {
        let _ = writeln!(text, "line {number} says {}", number.wrapping_mul(2_654_435_761));
    }
    text
}

pub(super) fn brotli() -> io::Result<(bool, bool)> {
    let text = text();
    let mut packed = Vec::new();
    let mut writer = brotli::CompressorWriter::new(&mut packed, 1024, 5, 16);
    writer.write_all(text.as_bytes())?;
    drop(writer);
    let mut back = String::new();
    brotli::Decompressor::new(&*packed, 1024).read_to_string(&mut back)?;
    Ok((packed.len() < text.len() / 2, back == text))
}

pub(super) fn lz4_flex() -> (bool, bool, bool) {
    let text = text();
    let packed = lz4_flex::compress_prepend_size(text.as_bytes());
    let back = lz4_flex::decompress_size_prepended(&packed).expect("it was written so");
    let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
    frame.write_all(text.as_bytes()).expect("into memory");
    let frame = frame.finish().expect("into memory");
    let mut read = String::new();
    lz4_flex::frame::FrameDecoder::new(&*frame).read_to_string(&mut read).expect("a frame");
    let error = lz4_flex::decompress_size_prepended(&packed[..packed.len() / 2]).is_err();
    (back == text.as_bytes(), read == text, error)
}

pub(super) fn miniz_oxide() -> (bool, bool, bool) {
    let text = text();
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(text.as_bytes(), 6);
    let back = miniz_oxide::inflate::decompress_to_vec_zlib(&packed).expect("it was written so");
    let limited = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(&packed, 500);
    (packed.len() < text.len() / 2, back == text.as_bytes(), limited.is_err())
}

pub(super) fn png() -> (bool, Vec<String>) {
    let (width, height) = (48_u32, 32_u32);
    let pixels: Vec<u8> = (0..width * height * 3).map(|place| (place * place / 7) as u8).collect();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.add_text_chunk("Title".to_owned(), "a gradient".to_owned()).expect("latin");
    encoder.add_ztxt_chunk("Comment".to_owned(), "word ".repeat(40)).expect("latin");
    let mut writer = encoder.write_header().expect("into memory");
    writer.write_image_data(&pixels).expect("into memory");
    writer.finish().expect("into memory");
    let mut reader = png::Decoder::new(Cursor::new(&file)).read_info().expect("a picture");
    let mut read = vec![0; reader.output_buffer_size().expect("it fits")];
    reader.next_frame(&mut read).expect("a picture");
    let info = reader.info();
    let texts = info.uncompressed_latin1_text.iter().map(|text| text.text.clone()).collect();
    (read == pixels, texts)
}

pub(super) fn ruzstd() -> io::Result<(bool, bool)> {
    use ruzstd::decoding::StreamingDecoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    let text = text();
    let packed = compress_to_vec(text.as_bytes(), CompressionLevel::Fastest);
    let mut back = String::new();
    let mut decoder = StreamingDecoder::new(&*packed).expect("a frame");
    decoder.read_to_string(&mut back)?;
    Ok((packed.len() < text.len(), back == text))
}

pub(super) fn snap() -> io::Result<(bool, bool, bool)> {
    let text = text();
    let packed = snap::raw::Encoder::new().compress_vec(text.as_bytes()).expect("it fits");
    let back = snap::raw::Decoder::new().decompress_vec(&packed).expect("it was written so");
    let mut frame = snap::write::FrameEncoder::new(Vec::new());
    frame.write_all(text.as_bytes())?;
    let frame = frame.into_inner().map_err(snap::write::IntoInnerError::into_error)?;
    let mut read = String::new();
    snap::read::FrameDecoder::new(&*frame).read_to_string(&mut read)?;
    let error = snap::raw::Decoder::new().decompress_vec(&packed[..100]).is_err();
    Ok((back == text.as_bytes(), read == text, error))
}

pub(super) fn tar() -> io::Result<(Vec<(String, usize)>, usize)> {
    let mut archive = tar::Builder::new(Vec::new());
    let long = "folder/".repeat(20) + "file";
    for (name, size) in [("a.txt", 10), ("folder/b.txt", 2_000), (&*long, 700)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o644);
        let content = vec![b'x'; size as usize];
        archive.append_data(&mut header, name, &*content)?;
    }
    let bytes = archive.into_inner()?;
    let mut files = Vec::new();
    for entry in tar::Archive::new(&*bytes).entries()? {
        let mut entry = entry?;
        let mut content = String::new();
        entry.read_to_string(&mut content)?;
        let path = entry.path()?.to_string_lossy().into_owned();
        files.push((path, content.len()));
    }
    Ok((files, bytes.len()))
}
