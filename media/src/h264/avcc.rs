//! AVCDecoderConfigurationRecord, the content of the `avcC` box: ISO/IEC 14496-15 5.3.3.1.
//!
//! ```text
//! 01 | profile | constraints | level | FC + length_size - 1 | E0 + count | { len16 | SPS } | count | { len16 | PPS }
//! profiles 100, 110, 122, 144:  | FC + chroma_format | F8 + luma depth - 8 | F8 + chroma depth - 8 | 0 (SPS extensions)
//! ```
//!
//! The reader of the `h264-reader` crate panics on an empty parameter set at the end, so the record is read here.

use super::{Error, NalType, sps};

/// A record that was read; it borrows from the box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvcConfig<'a> {
    /// Bytes of the length before each NAL unit of a sample: 1, 2 or 4.
    pub length_size: u8,
    /// Sequence parameter sets, header byte included; at most 31.
    pub sps: Vec<&'a [u8]>,
    /// Picture parameter sets, header byte included; at most 255.
    pub pps: Vec<&'a [u8]>,
}

/// Appends the record for one SPS and one PPS (header bytes included) and lengths of 4 bytes.
pub fn write(sps: &[u8], pps: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let Some(&[profile, constraints, level]) = sps.get(1..4) else {
        return Err(Error::Avcc("the sequence parameter set is too short"));
    };
    out.extend_from_slice(&[1, profile, constraints, level, 0xFF, 0xE1]);
    push(sps, out)?;
    out.push(1);
    push(pps, out)?;
    if matches!(profile, 100 | 110 | 122 | 144) {
        let format = sps::sample_format(sps)?;
        out.extend_from_slice(&[
            0xFC | format.chroma_format_idc,
            0xF8 | format.bit_depth_luma_minus8,
            0xF8 | format.bit_depth_chroma_minus8,
            0,
        ]);
    }
    Ok(())
}

fn push(nal: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let length = u16::try_from(nal.len()).map_err(|_| Error::TooLong(nal.len()))?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(nal);
    Ok(())
}

/// Reads a record. Whatever follows the picture parameter sets says nothing that the SPS does not say, and is ignored.
pub fn parse(record: &[u8]) -> Result<AvcConfig<'_>, Error> {
    let Some((&[version, _, _, _, lengths, sps_count], mut rest)) = record.split_first_chunk::<6>() else {
        return Err(Error::Avcc("shorter than 6 bytes"));
    };
    if version != 1 {
        return Err(Error::Avcc("configurationVersion is not 1"));
    }
    let length_size = (lengths & 3) + 1;
    if length_size == 3 {
        return Err(Error::Avcc("lengthSizeMinusOne is 2"));
    }
    let sps = take(&mut rest, sps_count & 0x1F, NalType::Sps)?;
    let Some((&pps_count, mut rest)) = rest.split_first() else {
        return Err(Error::Avcc("ends before the picture parameter sets"));
    };
    let pps = take(&mut rest, pps_count, NalType::Pps)?;
    Ok(AvcConfig { length_size, sps, pps })
}

fn take<'a>(rest: &mut &'a [u8], count: u8, expected: NalType) -> Result<Vec<&'a [u8]>, Error> {
    (0..count)
        .map(|_| {
            let cut = Error::Avcc("a parameter set is cut off");
            let Some((length, tail)) = rest.split_first_chunk::<2>() else { return Err(cut) };
            let Some((nal, tail)) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length))) else {
                return Err(cut);
            };
            *rest = tail;
            if NalType::of(nal) != expected {
                return Err(Error::Avcc("a NAL unit that is not the parameter set that belongs there"));
            }
            Ok(nal)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[0x67, 0x42, 0xC0, 0x0D, 0x8C, 0x8D, 0x50, 0x50, 0x7E, 0x40];
    const PPS: &[u8] = &[0x68, 0xCE, 0x3C, 0x80];

    #[test]
    fn a_record_is_written_byte_for_byte_and_read_back() {
        let mut record = Vec::new();
        write(SPS, PPS, &mut record).unwrap();
        assert_eq!(
            record,
            [
                0x01, 0x42, 0xC0, 0x0D, 0xFF, 0xE1, 0, 10, 0x67, 0x42, 0xC0, 0x0D, 0x8C, 0x8D, 0x50, 0x50,
                0x7E, 0x40, 0x01, 0, 4, 0x68, 0xCE, 0x3C, 0x80
            ]
        );
        assert_eq!(parse(&record), Ok(AvcConfig { length_size: 4, sps: vec![SPS], pps: vec![PPS] }));
    }

    #[test]
    fn a_cut_or_foreign_record_is_refused_at_every_byte() {
        let mut record = Vec::new();
        write(SPS, PPS, &mut record).unwrap();
        for length in 0..record.len() {
            assert!(parse(&record[..length]).is_err(), "{length} bytes");
        }
        assert_eq!(parse(&[2, 0, 0, 0, 0xFF, 0xE0, 0]), Err(Error::Avcc("configurationVersion is not 1")));
        assert!(parse(&[1, 0, 0, 0, 0xFF, 0xE1, 0, 0]).is_err(), "an empty parameter set at the end");
        assert!(write(&[0x67, 0x42], PPS, &mut Vec::new()).is_err());
    }
}
