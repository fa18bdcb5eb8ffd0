"""Confirmation emails: kept in the same transaction as the change they confirm, sent afterwards by a courier."""
