"""What each operation does: check the caller, ask storage, hand the answer back."""
