// The first screen.
import { now, onUpdate } from "../feed.js";
