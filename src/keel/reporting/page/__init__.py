"""What every page is made of: template, words, plots, films."""
