//! NAL units in Annex B (ISO/IEC 14496-10 annex B) and AVCC framing (ISO/IEC 14496-15 5.3.4.2), and the way from one to the
//! other. The buffers that are written are the caller's; nothing is allocated while their capacity suffices.

use super::Error;

/// `nal_unit_type`, ISO/IEC 14496-10 table 7-1, as far as Porthole tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalType {
    /// Coded slice of a non-IDR picture (1).
    Slice,
    /// Coded slice of an IDR picture (5).
    Idr,
    /// Supplemental enhancement information (6).
    Sei,
    /// Sequence parameter set (7).
    Sps,
    /// Picture parameter set (8).
    Pps,
    /// Access unit delimiter (9).
    AccessUnitDelimiter,
    /// Any other.
    Other(u8),
}

impl NalType {
    /// The type of a NAL unit; `Other(0)`, which the standard leaves unspecified, if it has no byte.
    pub fn of(nal: &[u8]) -> Self {
        match nal.first().map_or(0, |header| header & 0x1F) {
            1 => Self::Slice,
            5 => Self::Idr,
            6 => Self::Sei,
            7 => Self::Sps,
            8 => Self::Pps,
            9 => Self::AccessUnitDelimiter,
            other => Self::Other(other),
        }
    }

    /// Whether an access unit keeps it: parameter sets travel in the configuration, and delimiters only in MPEG-TS.
    pub fn belongs_in_access_unit(self) -> bool {
        !matches!(self, Self::Sps | Self::Pps | Self::AccessUnitDelimiter)
    }
}

/// The NAL units of an Annex B byte stream, without start codes and trailing zero bytes. What precedes the first start
/// code is skipped, and empty units with it: Annex B has no errors, only bytes that belong to nothing.
pub fn annex_b(data: &[u8]) -> AnnexB<'_> {
    AnnexB { rest: start_code(data).and_then(|at| data.get(at + 3..)) }
}

/// Iterator of [`annex_b`].
#[derive(Clone, Debug)]
pub struct AnnexB<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for AnnexB<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let rest = self.rest.take()?;
            let end = start_code(rest);
            self.rest = end.and_then(|at| rest.get(at + 3..));
            // The last byte of a NAL unit is never zero (7.4.1), so zeros before the next start code belong to that.
            let unit = rest.get(..end.unwrap_or(rest.len()))?;
            let length = unit.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            if length > 0 {
                return unit.get(..length);
            }
        }
    }
}

/// Where the next `00 00 01` stands.
fn start_code(data: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match data.get(at..at + 3)? {
            [0, 0, 1] => return Some(at),
            [_, _, last] if *last > 1 => at += 3,
            _ => at += 1,
        }
    }
}

/// The NAL units of an access unit in AVCC framing with lengths of 4 bytes. After an error it ends.
pub fn avcc(data: &[u8]) -> Avcc<'_> {
    Avcc { data, at: 0 }
}

/// Iterator of [`avcc`].
#[derive(Clone, Debug)]
pub struct Avcc<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Avcc<'a> {
    type Item = Result<&'a [u8], Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.at;
        let rest = self.data.get(offset..).filter(|rest| !rest.is_empty())?;
        self.at = self.data.len();
        let Some((length, rest)) = rest.split_first_chunk::<4>() else {
            return Some(Err(Error::Truncated { offset, length: 4, left: rest.len() }));
        };
        let length = u32::from_be_bytes(*length) as usize;
        match rest.get(..length) {
            None => Some(Err(Error::Truncated { offset, length, left: rest.len() })),
            Some([]) => Some(Err(Error::Empty(offset))),
            Some(nal) => {
                self.at = offset + 4 + length;
                Some(Ok(nal))
            }
        }
    }
}

/// Appends one NAL unit in AVCC framing.
pub fn push_avcc(nal: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let length = u32::try_from(nal.len()).map_err(|_| Error::TooLong(nal.len()))?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(nal);
    Ok(())
}

/// Appends one NAL unit behind a start code of 4 bytes.
pub fn push_annex_b(nal: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0, 0, 1]);
    out.extend_from_slice(nal);
}

/// Appends an encoder's picture in Annex B framing to `out` as an access unit: AVCC, without the NAL units that do not
/// [belong in it](NalType::belongs_in_access_unit).
pub fn annex_b_to_avcc(picture: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    annex_b(picture)
        .filter(|nal| NalType::of(nal).belongs_in_access_unit())
        .try_for_each(|nal| push_avcc(nal, out))
}

/// Appends an access unit in AVCC framing to `out` in Annex B framing. On an error `out` holds the NAL units before it.
pub fn avcc_to_annex_b(access_unit: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    for nal in avcc(access_unit) {
        push_annex_b(nal?, out);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annex_b_is_split_at_start_codes_of_three_and_four_bytes() {
        let cases: [(&[u8], &[&[u8]]); 9] = [
            (&[], &[]),
            (&[0, 0, 1], &[]),
            (&[0x65, 1, 2], &[]),
            (&[0, 0, 0, 1, 0x67, 9, 0, 0, 1, 0x68], &[&[0x67, 9], &[0x68]]),
            (&[0, 0, 1, 0x65, 0, 0, 3, 1, 0, 0, 0, 1, 0x41], &[&[0x65, 0, 0, 3, 1], &[0x41]]),
            (&[0xFF, 0, 0, 1, 0x65, 7, 0, 0, 0, 0], &[&[0x65, 7]]),
            (&[0, 0, 1, 0, 0, 1, 0x41, 1, 0, 1, 2, 0, 2], &[&[0x41, 1, 0, 1, 2, 0, 2]]),
            (&[0, 0, 0, 0, 0, 1, 0x41, 1, 1, 0, 0, 1, 0x42], &[&[0x41, 1, 1], &[0x42]]),
            (&[0, 0, 1, 0x41, 0, 0], &[&[0x41]]),
        ];
        for (data, expected) in cases {
            assert_eq!(annex_b(data).collect::<Vec<_>>(), expected, "{data:?}");
        }
    }

    #[test]
    fn avcc_refuses_lengths_that_do_not_fit() {
        let read = |data: &[u8]| avcc(data).map(|nal| nal.map(<[u8]>::to_vec)).collect::<Vec<_>>();
        assert_eq!(read(&[0, 0, 0, 1, 0x65, 0, 0, 0, 2, 0x41, 7]), [Ok(vec![0x65]), Ok(vec![0x41, 7])]);
        assert_eq!(read(&[0, 0, 1]), [Err(Error::Truncated { offset: 0, length: 4, left: 3 })]);
        assert_eq!(
            read(&[0, 0, 0, 1, 9, 0xFF, 0xFF, 0xFF, 0xFF, 1]),
            [Ok(vec![9]), Err(Error::Truncated { offset: 5, length: 0xFFFF_FFFF, left: 1 })]
        );
        assert_eq!(read(&[0, 0, 0, 0, 1]), [Err(Error::Empty(0))]);
    }

    #[test]
    fn a_picture_becomes_an_access_unit_and_back_without_its_parameter_sets() {
        let picture = [
            0, 0, 0, 1, 0x09, 0xF0, 0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 3, 0, 0, 0,
            1, 0x65, 4,
        ];
        let mut access_unit = Vec::with_capacity(64);
        let before = access_unit.as_ptr();
        annex_b_to_avcc(&picture, &mut access_unit).unwrap();
        assert_eq!(access_unit, [0, 0, 0, 2, 0x65, 3, 0, 0, 0, 2, 0x65, 4]);
        assert_eq!(access_unit.as_ptr(), before, "no allocation while the capacity suffices");
        let mut back = Vec::new();
        avcc_to_annex_b(&access_unit, &mut back).unwrap();
        assert_eq!(back, [0, 0, 0, 1, 0x65, 3, 0, 0, 0, 1, 0x65, 4]);
    }

    #[test]
    fn types_are_those_of_table_7_1() {
        let types = [0x41, 0x65, 0x06, 0x67, 0x68, 0x09, 0x0C].map(|header| NalType::of(&[header]));
        assert_eq!(
            types,
            [
                NalType::Slice,
                NalType::Idr,
                NalType::Sei,
                NalType::Sps,
                NalType::Pps,
                NalType::AccessUnitDelimiter,
                NalType::Other(12)
            ]
        );
        assert_eq!(NalType::of(&[]), NalType::Other(0));
    }
}
