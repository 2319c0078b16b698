//! Protobuf's wire format: a message is a sequence of numbers, each with a payload
//! (<https://protobuf.dev/programming-guides/encoding/>).

/// What is wrong with the bytes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    #[error("it ends within a field")]
    Truncated,
    #[error("a number is longer than ten bytes")]
    Varint,
    #[error("a field has a number or a wire type that no message has")]
    Tag,
    #[error("the field has another wire type than its type")]
    WireType,
    #[error("a text is not UTF-8")]
    Utf8,
    #[error("a time lies outside of the years 0 to 9999")]
    Time,
    #[error("{0}")]
    Json(String),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

impl<'a> Payload<'a> {
    pub(crate) fn varint(self) -> Result<u64, Fault> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(Fault::WireType),
        }
    }

    pub(crate) fn double(self) -> Result<f64, Fault> {
        match self {
            Self::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(Fault::WireType),
        }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], Fault> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Fault::WireType),
        }
    }

    pub(crate) fn text(self) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Fault::Utf8)
    }

    /// The numbers of a list that is packed into one payload.
    pub(crate) fn packed(mut bytes: &'a [u8]) -> impl Iterator<Item = Result<Self, Fault>> {
        std::iter::from_fn(move || {
            if bytes.is_empty() {
                return None;
            }
            let number = varint(&mut bytes);
            if number.is_err() {
                bytes = &[];
            }
            Some(number.map(Self::Varint))
        })
    }
}

/// The bytes of a message; iterates over its fields, and ends after the first fault.
pub(crate) struct Message<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Message<'a> {
    type Item = Result<(u32, Payload<'a>), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let part = self.part();
        if part.is_err() {
            self.0 = &[];
        }
        Some(part)
    }
}

impl<'a> Message<'a> {
    fn part(&mut self) -> Result<(u32, Payload<'a>), Fault> {
        let tag = varint(&mut self.0)?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number != 0).ok_or(Fault::Tag)?;
        let payload = match tag & 7 {
            0 => Payload::Varint(varint(&mut self.0)?),
            1 => {
                let (bits, rest) = self.0.split_first_chunk::<8>().ok_or(Fault::Truncated)?;
                self.0 = rest;
                Payload::Fixed64(u64::from_le_bytes(*bits))
            }
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).map_err(|_| Fault::Truncated)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(Fault::Truncated)?;
                self.0 = rest;
                Payload::Bytes(bytes)
            }
            5 => {
                self.0 = self.0.get(4..).ok_or(Fault::Truncated)?;
                Payload::Fixed32
            }
            // Groups, which no Kubernetes type has ever had, and what is not assigned.
            _ => return Err(Fault::Tag),
        };
        Ok((number, payload))
    }
}

/// Takes a number from the front of `bytes`.
fn varint(bytes: &mut &[u8]) -> Result<u64, Fault> {
    let mut number = 0_u64;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(Fault::Truncated)?;
        *bytes = rest;
        // Bits beyond the 64th are lost, as they are in Go.
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Fault::Varint)
}
