"""What pictures tell of how they were made, in every program's form, and the call that makes them again.

infotext.py     text of A1111, Forge, SD.Next and Civitai
comfyui.py      ComfyUI's graphs, of its API and of its page
picture.py      the text inside PNG, JPEG and WebP files
generation.py   what all of them are read as, and its call
"""
