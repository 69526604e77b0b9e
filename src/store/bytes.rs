//! How the fields of a record lie in bytes: numbers as LEB128, texts and byte strings with their length in front.

/// Writes fields.
pub(super) trait Put {
    /// A number, in as few bytes as it needs.
    fn number(&mut self, number: u64);
    /// Bytes behind their length.
    fn blob(&mut self, bytes: &[u8]);

    /// A flag or a small number.
    fn byte(&mut self, byte: u8);

    /// A text.
    fn text(&mut self, text: &str) {
        self.blob(text.as_bytes());
    }

    /// A number that may be absent.
    fn maybe(&mut self, number: Option<u64>) {
        match number {
            None => self.byte(0),
            Some(number) => {
                self.byte(1);
                self.number(number);
            }
        }
    }

    /// A text that may be absent.
    fn maybe_text(&mut self, text: Option<&str>) {
        match text {
            None => self.byte(0),
            Some(text) => {
                self.byte(1);
                self.text(text);
            }
        }
    }
}

impl Put for Vec<u8> {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.push(number as u8);
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.extend_from_slice(bytes);
    }

    fn byte(&mut self, byte: u8) {
        self.push(byte);
    }
}

/// Reads fields; none where they end too early or are not what they should be.
pub(super) struct Take<'a>(pub(super) &'a [u8]);

impl<'a> Take<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    pub(super) fn blob(&mut self) -> Option<&'a [u8]> {
        let length = self.small::<usize>()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.blob()?).ok()
    }

    pub(super) fn maybe(&mut self) -> Option<Option<u64>> {
        match self.flag()? {
            false => Some(None),
            true => Some(Some(self.number()?)),
        }
    }

    pub(super) fn maybe_text(&mut self) -> Option<Option<&'a str>> {
        match self.flag()? {
            false => Some(None),
            true => Some(Some(self.text()?)),
        }
    }

    /// As many of something as a number says. A count beyond what the bytes can hold ends at their end.
    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = self.small::<usize>()?;
        let mut items = Vec::with_capacity(count.min(self.0.len()));
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }
}
