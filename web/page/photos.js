// SPDX-License-Identifier: Apache-2.0
// Files to photos that an engine reads: what is JPEG, PNG or WebP stays as it is; what else the browser can read becomes PNG.

const THUMBNAIL = 240;  // pixels of its longer side
let made = 0;

/** What a file is by its first bytes, as its name and the browser's guess may err; '' for what no engine reads. */
async function typeOf(file) {
  const bytes = new Uint8Array(await file.slice(0, 12).arrayBuffer());
  const text = String.fromCharCode(...bytes);
  if (text.startsWith('\xff\xd8\xff')) return 'image/jpeg';
  if (text.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png';
  if (text.startsWith('RIFF') && text.slice(8) === 'WEBP') return 'image/webp';
  return '';
}

/** Upright, as its EXIF orientation says. */
const decode = blob => createImageBitmap(blob, {imageOrientation: 'from-image'});

function canvasOf(picture, width, height) {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.drawImage(picture, 0, 0, width, height);
  return canvas;
}

export const blobOf = (canvas, type, quality) => new Promise((resolve, reject) => {
  canvas.toBlob(blob => blob ? resolve(blob) : reject(new Error('The browser can\'t write this picture.')), type, quality);
});

/** A photo of a file that wasn't looked at yet. */
export function photoOf(file) {
  return {id: ++made, name: file.name || 'pasted picture', file, blob: null, note: '', error: ''};
}

/**
 * Looks at the photo's file. It then has a `blob` for engines, and a `note`, a sentence, where that was converted; or it has an
 * `error`, a sentence.
 */
export async function prepare(photo) {
  if (photo.blob || photo.error) return;
  try {
    const type = await typeOf(photo.file);
    if (type) {
      photo.blob = photo.file.slice(0, photo.file.size, type);
      return;
    }
  } catch {
    photo.error = `${photo.name} can't be opened. Was it moved or deleted?`;
    return;
  }
  try {
    const picture = await decode(photo.file);
    photo.blob = await blobOf(canvasOf(picture, picture.width, picture.height), 'image/png');
    picture.close();
    photo.note = `${photo.name} was converted to PNG in the browser: the model reads JPEG, PNG and WebP.`;
  } catch {
    photo.error = `${photo.name} isn't a photo that this browser can read. JPEG, PNG and WebP always work.`;
  }
}

/** The photo's pixels, upright; nothing where the browser can't decode them. */
export async function pictureOf(photo) {
  try {
    return await decode(photo.blob);
  } catch {
    return null;
  }
}

/** The URL of a small picture of it; '' where the browser can't decode it. */
export async function thumbnailOf(photo) {
  const picture = await pictureOf(photo);
  if (!picture) return '';
  const scale = Math.min(1, THUMBNAIL / Math.max(picture.width, picture.height));
  const side = length => Math.max(1, Math.round(scale * length));
  const canvas = canvasOf(picture, side(picture.width), side(picture.height));
  picture.close();
  return URL.createObjectURL(await blobOf(canvas, 'image/jpeg', 0.85));
}

/** All files of something dropped, with those in its folders. */
export async function filesOf(transfer) {
  // Both must be read before anything is waited for: the transfer is empty afterwards.
  const entries = [...transfer.items].filter(item => item.kind === 'file').map(item => item.webkitGetAsEntry?.() ?? null);
  const files = [...transfer.files];
  if (!entries.some(entry => entry?.isDirectory)) return files;
  return (await Promise.all(entries.map(filesOfEntry))).flat();
}

async function filesOfEntry(entry) {
  if (!entry) return [];
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  while (true) {  // it gives a hundred at a time
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) break;
    found.push(...some.filter(one => !one.name.startsWith('.')));
  }
  found.sort((a, b) => a.name.localeCompare(b.name));
  return (await Promise.all(found.map(filesOfEntry))).flat();
}
