"""Generation data of pictures in every program's form, and the call that makes them again.

infotext.py     text of A1111, Forge, SD.Next and Civitai
comfyui.py      ComfyUI's graphs, of its API and of its page
picture.py      the text inside PNG, JPEG and WebP files
generation.py   the common form of all, and its call
"""
