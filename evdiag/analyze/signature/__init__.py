"""What a signature is made of: names in one spelling, frames told apart, a text out of both."""
