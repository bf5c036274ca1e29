"""Files to pages: PDF, images, office files, web pages, with limits."""
