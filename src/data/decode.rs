//! The bytes of image files to pixels, the same way for every source.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use rayon::prelude::*;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::arch::op::Shape;

/// The largest side an image may have: a damaged header must not ask for gigabytes.
const MAX_SIDE: u32 = 4096;

/// The formats that are read.
const FORMATS: [ImageFormat; 7] = [
    ImageFormat::Png,
    ImageFormat::Jpeg,
    ImageFormat::WebP,
    ImageFormat::Bmp,
    ImageFormat::Gif,
    ImageFormat::Tiff,
    ImageFormat::Pnm,
];

/// Endings of names of such files.
pub(super) const ENDINGS: [&str; 14] =
    ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "gif", "tif", "tiff", "pgm", "ppm", "pbm", "pnm"];

/// The formats in words.
pub(super) const READABLE: &str = "PNG, JPEG, WebP, BMP, GIF, TIFF and PNM";

/// Decodes one file to `[h, w, 3]`, turned as its EXIF tag says. Greyscale becomes three equal channels; transparency is
/// refused, because what lies behind it is not in the file. The error is a sentence for the caller to put a place in front of.
fn decode(bytes: &[u8]) -> Result<(Shape, Vec<u8>), String> {
    let format = image::guess_format(bytes).ok().filter(|f| FORMATS.contains(f));
    let format = format.ok_or_else(|| format!("{} bytes that are none of {READABLE}", bytes.len()))?;
    let (mut picture, orientation) = match format {
        ImageFormat::Jpeg => jpeg(bytes)?,
        _ => other(bytes, format)?,
    };
    picture.apply_orientation(orientation);
    if picture.color().has_alpha() && picture.to_rgba8().pixels().any(|p| p.0[3] != u8::MAX) {
        return Err("the image is partly transparent; flatten it onto a background first".into());
    }
    if matches!(picture.color(), ColorType::Rgb32F | ColorType::Rgba32F) {
        return Err("the image has real numbers for pixels; save it with 8 bits a channel".into());
    }
    let shape = Shape::new(picture.height() as usize, picture.width() as usize, 3);
    Ok((shape, picture.into_rgb8().into_raw()))
}

fn other(bytes: &[u8], format: ImageFormat) -> Result<(DynamicImage, Orientation), String> {
    let damaged = |why: image::ImageError| format!("the image is damaged: {why}");
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let orientation = decoder.orientation().map_err(damaged)?;
    Ok((DynamicImage::from_decoder(decoder).map_err(damaged)?, orientation))
}

/// How a JPEG is decoded: what is missing is an error, not a grey area.
fn strict() -> DecoderOptions {
    let side = MAX_SIDE as usize;
    DecoderOptions::default().set_strict_mode(true).set_max_width(side).set_max_height(side)
}

fn jpeg(bytes: &[u8]) -> Result<(DynamicImage, Orientation), String> {
    let damaged = |why: &dyn std::fmt::Display| format!("the image is damaged or cut short: {why}");
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), strict());
    let mut made = decode_jpeg(&mut decoder);
    if made.as_ref().is_err_and(|why| why.to_string().contains(BETWEEN)) {
        // Nothing of the image is lost.
        decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), strict().set_strict_mode(false));
        made = decode_jpeg(&mut decoder);
    }
    let pixels = made.map_err(|why| damaged(&why))?;
    // Entropy-coded bytes that are not needed are those of another image than the one that was decoded: something in the
    // middle is lost. So without the last ones, which every whole image needs, the same must not come out. (The decoder
    // takes missing bits for zeros, which may be the code of a flat end that is no error.)
    if let Some(shorter) = without_end(bytes) {
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&shorter[..]), strict());
        if decode_jpeg(&mut decoder).is_ok_and(|without| without == pixels) {
            return Err(damaged(&"bytes are left over at the end, so some before them are wrong"));
        }
    }
    let (width, height) = decoder.dimensions().ok_or("the image has no size")?;
    let (width, height) = (width as u32, height as u32);
    let made = match decoder.output_colorspace() {
        Some(ColorSpace::Luma) => image::GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
        _ => image::RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
    };
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    let made = made.ok_or("the image has another number of pixels than its header says")?;
    Ok((made, orientation.unwrap_or(Orientation::NoTransforms)))
}

/// What the decoder says of bytes between its headers, which take nothing from an image.
const BETWEEN: &str = "Extra bytes between headers";

/// Grey or RGB pixels.
fn decode_jpeg(decoder: &mut JpegDecoder<ZCursor<&[u8]>>) -> Result<Vec<u8>, zune_jpeg::errors::DecodeErrors> {
    decoder.decode_headers()?;
    let own = decoder.input_colorspace();
    let wanted = if own == Some(ColorSpace::Luma) { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(wanted));
    decoder.decode()
}

/// Entropy-coded bytes that no decoder may read ahead of what it needs.
const LAST: usize = 32;

/// A JPEG without the last bytes of its last scan; `None` where it has fewer, or no end.
fn without_end(bytes: &[u8]) -> Option<Vec<u8>> {
    let (start, end) = last_scan(bytes)?;
    (end - start > 2 * LAST).then(|| bytes[..end - LAST].to_vec())
}

/// Where the entropy-coded bytes of the last scan begin, and where the marker of the image's end stands.
fn last_scan(bytes: &[u8]) -> Option<(usize, usize)> {
    const END: u8 = 0xD9;
    const SCAN: u8 = 0xDA;
    const PROGRESSIVE: u8 = 0xC2;
    let (mut at, mut scan) = (2, None);
    loop {
        let marker = *bytes.get(at + 1).filter(|_| bytes[at] == 0xFF)?;
        match marker {
            0xFF => at += 1,
            END => return scan.map(|start| (start, at)),
            0x01 | 0xD0..=0xD8 => at += 2,
            // The last scan of such refines what the others gave, and may end early.
            PROGRESSIVE => return None,
            _ => {
                let length = usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]));
                at += 2 + length;
                if marker == SCAN {
                    scan = Some(at);
                    // Within a scan, a marker is 0xFF before neither zero nor a restart.
                    let inside = |pair: &[u8]| pair[0] != 0xFF || matches!(pair[1], 0 | 0xD0..=0xD7);
                    at += bytes.get(at..)?.windows(2).position(|pair| !inside(pair))?;
                }
            }
        }
    }
}

/// A growing stack of images that all have the first one's size.
#[derive(Default)]
pub(super) struct Stack {
    /// The common size, once there is an image.
    pub shape: Option<Shape>,
    /// `[n, h, w, c]`.
    pub pixels: Vec<u8>,
}

impl Stack {
    /// A stack whose images must have `shape`, where that is known already.
    pub fn of(shape: Option<Shape>) -> Self {
        Stack { shape, pixels: Vec::new() }
    }

    /// Decodes and appends `files` in their order, on all threads.
    ///
    /// # Errors
    /// The index of the first bad file, and what is wrong with it.
    pub fn extend<B: AsRef<[u8]> + Sync>(&mut self, files: &[B]) -> Result<(), (usize, String)> {
        let decoded: Vec<_> = files.par_iter().map(|f| decode(f.as_ref())).collect();
        for (i, image) in decoded.into_iter().enumerate() {
            let (shape, pixels) = image.map_err(|why| (i, why))?;
            let common = *self.shape.get_or_insert(shape);
            if shape != common {
                return Err((
                    i,
                    format!("the image is {shape}, the ones before it are {common}; all must have one size"),
                ));
            }
            self.pixels.extend_from_slice(&pixels);
        }
        Ok(())
    }
}
