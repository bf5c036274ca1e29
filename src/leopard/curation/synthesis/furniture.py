"""Lines that documents carry besides their facts: greetings, footers, notes.

They answer no question, but a reader must learn to pass over them. Knows nothing of layout.
"""

from __future__ import annotations

INTROS = (
    "Please read this document carefully.", "All information without guarantee.",
    "This page gives a short overview.", "The figures below are up to date.",
    "Please print clearly or type.", "For internal use only.",
    "Keep this document for your records.",
    "Complete all parts of this form.", "This summary was prepared for the members.",
    "The following details are on file.", "Please check all entries.", "Draft for discussion.",
    "The most important facts at a glance.", "This document replaces all earlier versions.",
)  # fmt: skip
NOTES = (
    "Errors and omissions excepted.", "Figures may not add up because of rounding.",
    "Please report any changes at once.", "See the reverse side for conditions.",
    "Do not write below this line.", "Subject to change without notice.",
    "This document is valid without signature.", "Values are preliminary.",
    "Sources are listed on the last page.", "Further copies are available on request.",
    "Contact us if you have any questions.", "Not for resale.", "All rights reserved.",
    "Keep out of reach of children.", "Terms and conditions apply.", "Printed on recycled paper.",
)  # fmt: skip
FOOTERS = (
    "Confidential", "Internal", "Public", "Copy", "Original", "www.example.org",
    "Office use only", "Form revision B", "End of document", "Thank you", "Official document",
)  # fmt: skip
THANKS = (
    "Thank you for your purchase!", "Thank you, come again!", "Please keep this receipt.",
    "Goods can be returned within 14 days.", "We appreciate your business.", "Have a nice day!",
    "No refund without receipt.", "Customer copy", "Thanks for shopping with us.",
)  # fmt: skip
GREETINGS = (
    "Dear Sir or Madam,", "Dear colleagues,", "Hello,", "Dear members,", "Dear customer,",
    "To whom it may concern,", "Dear friends,", "Good morning,",
)  # fmt: skip
CLOSINGS = (
    "Yours sincerely,", "Kind regards,", "Best regards,", "Yours faithfully,", "With best wishes,",
    "Sincerely,", "Regards,",
)  # fmt: skip
CONTINUED = (
    "{t} (continued)", "Continued: {t}", "{t}, continued", "{t} - next part", "... {t}",
    "{t} (cont.)",
)  # fmt: skip
"""Captions of a table's later parts."""
MENU = (
    "Home", "Products", "About us", "Contact", "News", "Support", "Shop", "Blog", "Team", "Prices",
    "Account", "Search", "Help", "Downloads", "Careers", "Gallery", "Events", "Partners", "Press",
)  # fmt: skip
BUTTONS = (
    "Buy now", "Sign in", "Add to cart", "Learn more", "Subscribe", "Download", "Book now", "Next",
    "Back", "Save", "Print", "Share", "Apply",
)  # fmt: skip
