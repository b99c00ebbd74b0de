// SPDX-License-Identifier: Apache-2.0
// A photo from the camera.
import {byId, tell} from './dom.js';
import {blobOf} from './photos.js';

const REFUSALS = {
  NotAllowedError: 'The browser doesn\'t let this page use the camera. Its address bar has a setting for that.',
  NotFoundError: 'There is no camera on this device.',
  NotReadableError: 'The camera is in use by another program.',
};

/** Shows the button where there can be a camera, which needs https or this machine. `take` gets a file. */
export function setUpCamera(take) {
  const dialog = byId('camera'), video = byId('camera-video'), shutter = byId('camera-take'), problem = byId('camera-error');
  if (!navigator.mediaDevices?.getUserMedia) return;
  byId('camera-open').hidden = false;
  let opened = 0;

  const stop = () => {
    ++opened;
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    video.srcObject = null;
  };

  byId('camera-open').addEventListener('click', async () => {
    const mine = ++opened;
    tell(problem, '');
    shutter.disabled = true;
    dialog.showModal();
    try {
      const stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: 'environment', width: {ideal: 1280}}});
      if (mine !== opened) {
        for (const track of stream.getTracks()) track.stop();
        return;
      }
      video.srcObject = stream;
      await video.play();
      shutter.disabled = false;
      shutter.focus();
    } catch (error) {
      if (mine === opened) tell(problem, REFUSALS[error.name] ?? `The camera can't be used: ${error.message}`);
    }
  });
  shutter.addEventListener('click', async () => {
    const canvas = document.createElement('canvas');
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext('2d').drawImage(video, 0, 0);
    dialog.close();
    take(new File([await blobOf(canvas, 'image/jpeg', 0.95)], 'camera.jpg', {type: 'image/jpeg'}));
  });
  byId('camera-close').addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', stop);
}
