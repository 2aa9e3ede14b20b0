"""Cases from files and tables."""
