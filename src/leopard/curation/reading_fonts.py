"""Font families that lessons in reading are set in besides those of the data engine.

A reader that has seen a few families misreads the same letters of another one all over a document.
Families that a computer lacks are left out; docs/curation.md says where they come from. Those held
out for testing are not among them. Knows nothing of pages.
"""

READING_FONTS = (
    "Aerial", "Atkinson Hyperlegible", "Averia Sans GWF", "B612", "Baloo 2", "CMU Bright",
    "CMU Sans Serif", "Cabin", "Cantarell", "Chivo", "Clear Sans", "Comfortaa", "Comic Neue",
    "Cuprum", "Dosis", "Droid Sans", "Fira Sans", "Gemunu Libre", "Gillius ADF", "Go",
    "Hind Madurai", "IBM Plex Sans", "Ikarius ADF Std", "Inria Sans", "Inter", "Inter Display",
    "Iwona", "Josefin Sans", "Jura", "Karla", "Karmilla", "KpSans", "Kurier", "League Spartan",
    "Lexend Deca", "Libertinus Sans", "Libre Franklin", "Libris ADF Std", "Linux Biolinum O",
    "M PLUS 1", "M PLUS 2", "Manjari", "Merriweather Sans", "Mint Spirit", "Montserrat",
    "Montserrat Alternates", "Mukta", "NanumGothic", "Nunito", "Overlock", "Oxygen-Sans",
    "PT Sans", "PT Sans Caption", "Play", "Quattrocento Sans", "Quicksand", "Raleway", "Rosario",
    "Source Sans Pro", "Switzera ADF", "Switzera ADF Ext", "Tiresias Infofont", "Tiresias LPfont",
    "Tiresias Signfont", "Tuffy", "Universalis ADF Std", "Verana Sans", "Veranda",
    "WenQuanYi Micro Hei", "VL PGothic", "Yanone Kaffeesatz", "Archiv0", "osifont", "Sora",
    "Alegreya", "Antykwa Torunska", "Averia Serif GWF", "Baskervald ADF Std", "BaskervilleF",
    "Bitter", "CMU Concrete", "CMU Serif", "Cardo", "Charis SIL", "Clara", "Cochineal",
    "Coelacanth", "Cormorant Garamond", "Crimson", "Crimson Pro", "Domitian", "Droid Serif",
    "EB Garamond", "Eczar", "ElstobD", "ETbb", "Fanwood Text", "GFS Bodoni", "GFS Didot",
    "Gentium Book Basic", "Heuristica", "IBM Plex Serif", "Ibarra Real Nova", "Inria Serif",
    "KpRoman", "Libre Baskerville", "Libre Bodoni", "Libre Caslon Text", "Linden Hill",
    "Linguistics Pro", "Linux Libertine O", "Merriweather", "Old Standard", "PT Serif",
    "Playfair Display", "Prociono", "Quattrocento", "Rasa", "Roboto Serif", "Roboto Slab",
    "Romande ADF Std", "STIX Two Text", "Source Serif Pro", "Spectral", "Tempora", "Theano Modern",
    "Theano Old Style", "Tribun ADF Std", "Tymes", "Verana", "Vollkorn", "XCharter", "erewhon",
    "fbb", "Yrsa", "Agave", "Anonymous Pro", "Cascadia Cod3", "Courier Prime Code", "Fira Mono",
    "Go Mono", "Hack", "Hermit", "IBM Plex Mono", "InconsolataN", "League Mono", "mononoki",
    "Oxygen Mono", "PT Mono", "Roboto Mono", "Source Code Pro", "UM Typewriter", "Nimbus Roman",
    "P052", "Nimbus Mono PS",
)  # fmt: skip
