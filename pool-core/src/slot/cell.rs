//! The cell that holds the entry of a slot.
//!
//! A box that one owner puts in and the next takes out. There is no lock and no flag in it: who may
//! use it is decided outside, as the module above says.

/// One value at a time, for one user at a time.
#[cfg(not(loom))]
pub(super) struct Cell<T>(std::cell::UnsafeCell<Option<T>>);

// SAFETY: a shared cell is as much as sending the value from one owner to the next.
#[cfg(not(loom))]
#[expect(unsafe_code, reason = "see the safety section of the slots")]
unsafe impl<T: Send> Sync for Cell<T> {}

#[cfg(not(loom))]
#[expect(unsafe_code, reason = "see the safety section of the slots")]
impl<T> Cell<T> {
    pub(super) fn new() -> Self {
        Self(std::cell::UnsafeCell::new(None))
    }

    /// # Safety
    ///
    /// Nobody else may use the cell at the same time.
    #[inline]
    pub(super) unsafe fn put(&self, value: T) {
        // SAFETY: the caller is the only user.
        let cell = unsafe { &mut *self.0.get() };
        debug_assert!(cell.is_none(), "a slot holds one entry");
        // What is there is nothing: not to be dropped, so that no code is made for it.
        std::mem::forget(cell.replace(value));
    }

    /// # Safety
    ///
    /// Nobody else may use the cell at the same time.
    #[inline]
    pub(super) unsafe fn take(&self) -> Option<T> {
        // SAFETY: the caller is the only user.
        unsafe { &mut *self.0.get() }.take()
    }

    /// # Safety
    ///
    /// Nobody else may use the cell as long as the reference lives.
    pub(super) unsafe fn peek(&self) -> Option<&T> {
        // SAFETY: the caller is the only user.
        unsafe { &*self.0.get() }.as_ref()
    }
}

/// The same with loom's eyes on every access.
#[cfg(loom)]
pub(super) struct Cell<T>(loom::cell::UnsafeCell<Option<T>>);

// SAFETY: as above.
#[cfg(loom)]
#[expect(unsafe_code, reason = "see the safety section of the slots")]
unsafe impl<T: Send> Sync for Cell<T> {}

#[cfg(loom)]
#[expect(unsafe_code, reason = "see the safety section of the slots")]
impl<T> Cell<T> {
    pub(super) fn new() -> Self {
        Self(loom::cell::UnsafeCell::new(None))
    }

    pub(super) unsafe fn put(&self, value: T) {
        // SAFETY: loom panics if the caller is not the only user.
        let before = self.0.with_mut(|cell| unsafe { &mut *cell }.replace(value));
        assert!(before.is_none(), "a slot holds one entry");
    }

    pub(super) unsafe fn take(&self) -> Option<T> {
        // SAFETY: loom panics if the caller is not the only user.
        self.0.with_mut(|cell| unsafe { &mut *cell }.take())
    }

    pub(super) unsafe fn peek(&self) -> Option<&T> {
        // SAFETY: loom panics if the caller is not the only user; the box does not move.
        self.0.with(|cell| unsafe { &*cell }.as_ref())
    }
}
