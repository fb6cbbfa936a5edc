"""For people: pictures, and the page that shows results in a browser."""
