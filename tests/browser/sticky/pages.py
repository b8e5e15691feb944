"""What the servers serve: pages that say where they are from."""

import html
import json

# Of a full page: itself, four images and four requests of its script.
REQUESTS = 9

PAGE = """<!doctype html>
<html lang="en">
<head><title>{server}</title><link rel="icon" href="data:,"></head>
<body data-server="{server}" data-sent="{sent}" data-received="{received}">
<h1>{server}</h1>
<p>The browser sent: {sent}</p>
<p>The server received: {received}</p>
{content}
<script>
addEventListener('load', async () => {{
    const how = {{mode: 'no-cors', credentials: 'include'}}
    await Promise.all({fetched}.map(address => fetch(address, how)))
    document.body.dataset.done = 'yes'
}})
</script>
</body>
</html>
"""


def page(visit, content="", fetched=()):
    said = {name: html.escape(text) for name, text in vars(visit).items()}
    return PAGE.format(content=content, fetched=json.dumps(list(fetched)), **said)


def full(visit):
    images = "".join('<img alt="" src="/pixel?%d">' % number for number in range(4))
    return page(visit, images, ["/who?%d" % number for number in range(4)])


def ways_to(visit, address):
    there = html.escape(address)
    return page(
        visit,
        '<a href="%s">there</a><form method="post" action="%s">'
        '<input name="word" value="one"><button>send</button></form>' % (there, there),
    )


def with_images_of(visit, address):
    """Two, and two requests of a script."""
    image = '<img alt="" src="%s">'
    addresses = ["%s?%d" % (address, number) for number in range(4)]
    return page(visit, "".join(image % html.escape(a) for a in addresses[:2]), addresses[2:])


def with_frame_of(visit, address):
    return page(visit, '<iframe src="%s"></iframe>' % html.escape(address))


LEADING = {"/ways": ways_to, "/images": with_images_of, "/frame": with_frame_of}
